#ifndef PORTCULLIS_CLINUX_H
#define PORTCULLIS_CLINUX_H

#include <malloc.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "CLinuxFile.h"
#include "CLinuxProcess.h"

// Glibc shows these under _GNU_SOURCE only.
extern int pthread_setname_np(pthread_t thread, const char *name);
extern int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);

#endif
