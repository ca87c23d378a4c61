/*
 * The choices of a build as plain constants: code says `if (DEBUG_BUILD)`, and both sides always
 * compile.
 */
#ifndef LIB_CONFIG_H
#define LIB_CONFIG_H

#ifndef DEBUG_BUILD
#define DEBUG_BUILD 0
#endif

#endif
