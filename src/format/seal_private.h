/*
 * What the small files that name others share: [magic 8][version u32][crc u32][...]. The checksum covers every byte of the encoding
 * with its own field taken as zero. It stands in front, not at the end: the CRC of data that ends in its own CRC is the same for all
 * data, and these files are checksummed once more as a whole by the one that names them.
 *
 * Calling sequence: writer: fill all behind the prefix, then jadei_seal. reader: jadei_unseal, read the rest through the reader.
 * Threads: no state.
 */
#ifndef JADE_FORMAT_SEAL_PRIVATE_H
#define JADE_FORMAT_SEAL_PRIVATE_H

#include "format/codec.h"

enum { JADE_SEAL_BYTES = 16, JADE_SEAL_VERSION = 1 };

/** Fills the prefix of the n bytes at p; everything behind it must be in place. */
void jadei_seal(uint8_t *p, size_t n, const char magic[8]);
/**
 * Checks the prefix of all that r holds, and leaves r behind it. Errors: JADE_E_CORRUPT; JADE_E_VERSION for a good checksum over a
 * version that this build cannot read (the checksum comes first: damage is no newer format). `what` names the thing.
 */
jade_code jadei_unseal(struct jade_reader *r, const char magic[8], const char *what,
                       struct jade_err *err);
/** Reads n reserved bytes; JADE_E_CORRUPT when they are not zero: they have no meaning in this version. */
jade_code jadei_get_reserved(struct jade_reader *r, size_t n, const char *what,
                             struct jade_err *err);

#endif
