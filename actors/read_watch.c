#include "actors/read_watch.h"

static const uint64_t PERIOD_NS = 100000000;

static void say(struct read_watch *watch, const struct read_model_info *info)
{
    struct log *log = &watch->shard->log;

    switch (info->state) {
    case READ_MODEL_RUNNING:
        log_event(log, LOG_INFO, "read_model", "the read model follows the logs",
                  LOG_NUMBER("lag_records", info->lag_records));
        break;
    case READ_MODEL_REFUSED:
    case READ_MODEL_FAILED:
        log_event(log, LOG_ERROR, "read_model", "the read model cannot be used",
                  LOG_TEXT("reason", slice_of(info->text)));
        break;
    case READ_MODEL_OFF:
    case READ_MODEL_STARTING:
        break;
    }
}

static void on_turn_end(struct turn_hook *hook)
{
    struct read_watch *watch = container_of(hook, struct read_watch, hook);
    struct read_model_info info;

    if (watch->shard->clock.mono_ns - watch->looked_ns < PERIOD_NS)
        return;
    watch->looked_ns = watch->shard->clock.mono_ns;
    read_model_info(watch->read_model, &info);
    if (info.state == watch->said)
        return;
    watch->said = info.state;
    say(watch, &info);
}

void read_watch_init(struct read_watch *watch, struct read_model *read_model, struct shard *shard,
                     const struct read_model_metrics *series)
{
    *watch = (struct read_watch){
        .hook = {.on_turn_end = on_turn_end},
        .read_model = read_model,
        .shard = shard,
        .series = series,
        .said = READ_MODEL_STARTING,
    };
    if (shard->index == 0 && read_model != NULL)
        shard_add_turn_hook(shard, &watch->hook);
}

void read_watch_export(struct read_watch *watch)
{
    if (watch->shard->index == 0)
        read_model_export(watch->read_model, watch->series, &watch->shard->metrics);
}
