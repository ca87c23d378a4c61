/* bothy-attest: `bothy attest` as a program that needs no library, to be taken into any guest. */
#include "dom0-lite/bothy/bothy.h"

int main(void) { return attest(); }
