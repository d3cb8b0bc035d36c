#ifndef PORTCULLIS_CLINUX_FILE_H
#define PORTCULLIS_CLINUX_FILE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What a file is. Swift could call stat itself, but struct stat belongs to whichever C module was loaded first, and that
 * changes with the libraries a file imports.
 */
struct portcullis_status {
    int error;            /* errno; 0: the rest is valid */
    uint32_t owner;       /* the user's id */
    uint32_t permissions; /* the lowest nine bits of the mode */
    int64_t size;         /* bytes */
    bool is_regular;
    bool is_socket;
};

/* Of an open descriptor. */
struct portcullis_status portcullis_fstat(int descriptor);

/* Of a path; a symbolic link is not followed. */
struct portcullis_status portcullis_lstat(const char *path);

#endif
