#include "store/record_layout.h"

/*
 * Sizes come from a disk: their sum, in 64 bits, must be what is there before a single section
 * is cut.
 */

bool record_is_zero(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    unsigned char any = 0;

    for (size_t i = 0; i < size; i++)
        any |= at[i];
    return any == 0;
}

bool record_sections_fit(const struct slice *sections, const struct record_section_bounds *bounds,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert(bounds[i].size_min <= bounds[i].size_max);
        if (sections[i].size < bounds[i].size_min || sections[i].size > bounds[i].size_max)
            return false;
    }
    return true;
}

uint64_t record_sections_size(const struct slice *sections, uint32_t count)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < count; i++)
        size += sections[i].size;
    return size;
}

uint64_t record_sections_write(const struct slice *sections, uint32_t count, char *at)
{
    const char *begin = at;

    for (uint32_t i = 0; i < count; i++) {
        if (sections[i].size > 0)
            memcpy(at, sections[i].data, sections[i].size);
        at += sections[i].size;
    }
    assert((uint64_t)(at - begin) == record_sections_size(sections, count));
    return (uint64_t)(at - begin);
}

bool record_sections_read(struct slice payload, uint64_t head_size, const uint32_t *sizes,
                          uint32_t count, struct slice *ret_sections)
{
    uint64_t size = head_size;

    for (uint32_t i = 0; i < count; i++)
        size += sizes[i];
    if (size != payload.size)
        return false;
    size = head_size;
    for (uint32_t i = 0; i < count; i++) {
        ret_sections[i] = (struct slice){payload.data + size, sizes[i]};
        size += sizes[i];
    }
    return true;
}
