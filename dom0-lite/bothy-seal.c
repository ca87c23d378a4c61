/* bothy-seal: `bothy seal` as a program that needs no library, for a machine that has neither Bothy nor Xen. */
#include "dom0-lite/bothy/expect/expect.h"

int main(int argc, char **argv) { return seal(argc, argv); }
