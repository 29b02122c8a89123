/*
 * Crc32c: CRC-32C (Castagnoli), the checksum of every durable byte.
 *
 * crc32c() uses the SSE4.2 instruction, three streams at a time, where the
 * compiler may; crc32c_software() is the table version for other machines and
 * the reference in tests. Both give the values of RFC 3720, B.4.
 */
#pragma once

#include "runtime/base.h"

/*
 * The CRC of data, continuing from crc, which is 0 or the result for the bytes
 * before: crc32c(crc32c(0, a), b) is the CRC of a followed by b.
 */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* The same without special instructions. */
uint32_t crc32c_software(uint32_t crc, const void *data, size_t size);
