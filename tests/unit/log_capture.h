/* log_capture.h - what is logged meanwhile, and which lines of it hold what. */
#pragma once
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static struct {
    int old, file;
    char text[256 * 1024];
} capture;

static inline void capture_start(void)
{
    fflush(stderr);
    capture.old = dup(STDERR_FILENO);
    capture.file = memfd_create("stderr", 0);
    assert_int_equal(fcntl(capture.file, F_SETFL, O_APPEND), 0);
    assert_int_equal(dup2(capture.file, STDERR_FILENO), STDERR_FILENO);
}

static inline void capture_stop(void)
{
    dup2(capture.old, STDERR_FILENO);
    ssize_t n = pread(capture.file, capture.text, sizeof capture.text - 1, 0);
    capture.text[n > 0 ? n : 0] = 0;
    close(capture.old);
    close(capture.file);
}

/* Lines that hold all of these; NULL: whatever. */
static inline size_t capture_lines(const char *what, const char *and_what, const char *more)
{
    size_t n = 0;
    static char line[4096];
    for (const char *at = capture.text, *end; (end = strchr(at, '\n')); at = end + 1) {
        size_t len = (size_t)(end - at);
        assert_true(len < sizeof line);
        memcpy(line, at, len);
        line[len] = 0;
        n += strstr(line, what) && (!and_what || strstr(line, and_what)) &&
             (!more || strstr(line, more));
    }
    return n;
}
