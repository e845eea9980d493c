/* hex.h - bytes as hexadecimal digits. Pure; any thread. */
#pragma once
#include <stddef.h>

/* 2n digits in lower case and a 0 behind them. Returns where the 0 is. */
char *hex_print(const void *bytes, size_t n, char *out);
/* The value of one digit, in either case; -1: it is none. */
int hex_digit(char c);
