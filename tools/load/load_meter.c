#include "tools/load/load_meter.h"

static void load_meter_check(const struct load_meter *meter)
{
    assert(meter->begin_ns <= meter->end_ns);
    assert(meter->reading_count <= 2);
}

void load_meter_init(struct load_meter *meter, uint64_t begin_ns, uint64_t end_ns)
{
    *meter = (struct load_meter){.begin_ns = begin_ns, .end_ns = end_ns};
    load_meter_check(meter);
}

bool load_meter_is_due(const struct load_meter *meter, uint64_t now_ns)
{
    return (meter->reading_count == 0 && now_ns >= meter->begin_ns) ||
           (meter->reading_count == 1 && now_ns >= meter->end_ns);
}

void load_meter_read(struct load_meter *meter, const struct load_reading *reading)
{
    load_meter_check(meter);
    if (!load_meter_is_due(meter, reading->now_ns))
        return;
    *(meter->reading_count == 0 ? &meter->first : &meter->last) = *reading;
    meter->reading_count++;
}

void load_meter_settle(struct load_meter *meter, const struct load_reading *reading,
                       struct load_tally *tally)
{
    uint64_t cpu_ns;

    load_meter_check(meter);
    if (meter->reading_count == 1) {
        meter->last = *reading;
        meter->reading_count++;
    }
    /* It ended in the warm-up, or with it. */
    if (meter->reading_count < 2 || meter->last.now_ns <= meter->first.now_ns)
        return;
    cpu_ns = meter->last.cpu_ns - meter->first.cpu_ns;
    tally->wall_ns = meter->last.now_ns - meter->first.now_ns;
    tally->spin_ns = min_u64(meter->last.spun_ns - meter->first.spun_ns, cpu_ns);
    tally->cpu_ns = cpu_ns - tally->spin_ns;
}
