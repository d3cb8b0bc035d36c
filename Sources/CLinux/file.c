#include "CLinuxFile.h"

#include <errno.h>
#include <sys/stat.h>

static struct portcullis_status from(int result, const struct stat *status) {
    struct portcullis_status value = {.error = result == 0 ? 0 : errno};
    if (result != 0) return value;
    value.owner = status->st_uid;
    value.permissions = status->st_mode & 0777;
    value.size = status->st_size;
    value.is_regular = S_ISREG(status->st_mode);
    value.is_socket = S_ISSOCK(status->st_mode);
    return value;
}

struct portcullis_status portcullis_fstat(int descriptor) {
    struct stat status;
    return from(fstat(descriptor, &status), &status);
}

struct portcullis_status portcullis_lstat(const char *path) {
    struct stat status;
    return from(lstat(path, &status), &status);
}
