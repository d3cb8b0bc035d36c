#ifndef PORTCULLIS_CHIREDIS_SHIM_H
#define PORTCULLIS_CHIREDIS_SHIM_H

// Parser and formatter only: the loop owns the sockets.
#include <hiredis/hiredis.h>
#include <hiredis/read.h>

#endif
