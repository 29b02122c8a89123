/*
 * The route table: every endpoint there is, and its calls. A row is all that the router,
 * 404, 405, Allow and the metrics need to know of it. What an endpoint means is said in the
 * header of the file its calls are in.
 */
#include "actors/ai_routes.h"
#include "actors/app.h"
#include "actors/dlq_routes.h"
#include "actors/errand_routes.h"
#include "actors/event_routes.h"
#include "actors/health_routes.h"
#include "actors/incident_change_routes.h"
#include "actors/incident_routes.h"
#include "actors/inspection_routes.h"
#include "actors/job_routes.h"
#include "actors/key_routes.h"
#include "actors/metrics_routes.h"
#include "actors/openapi_routes.h"
#include "actors/queue_routes.h"
#include "actors/schedule_routes.h"
#include "actors/search_routes.h"

/* The busiest first: the router looks in this order. */
const struct route APP_ROUTES[] = {
    {HTTP_METHOD_POST, "/v1/events", event_on_head, event_on_request, event_on_reply,
     event_on_abandon},
    {HTTP_METHOD_POST, "/v1/events/batch", batch_on_head, batch_on_request, event_on_reply,
     event_on_abandon},
    {HTTP_METHOD_GET, "/v1/events/{id}", lookup_on_head, lookup_on_request, lookup_on_reply,
     lookup_on_abandon},
    {HTTP_METHOD_POST, "/v1/jobs", job_enqueue_on_head, job_enqueue_on_request, job_on_reply,
     job_on_abandon},
    {HTTP_METHOD_POST, "/v1/jobs/{kind}/lease", job_outcomes_on_head, job_lease_on_request,
     job_on_reply, job_on_abandon},
    {HTTP_METHOD_POST, "/v1/jobs/complete", job_outcomes_on_head, job_finish_on_request,
     job_on_reply, job_on_abandon},
    {HTTP_METHOD_POST, "/v1/jobs/batch", job_batch_on_head, job_batch_on_request, job_on_reply,
     job_on_abandon},
    {HTTP_METHOD_POST, "/v1/jobs/{id}/complete", job_outcome_on_head, job_complete_on_request,
     job_on_reply, job_on_abandon},
    {HTTP_METHOD_POST, "/v1/jobs/{id}/fail", job_outcome_on_head, job_fail_on_request, job_on_reply,
     job_on_abandon},
    {HTTP_METHOD_POST, "/v1/jobs/{id}/extend", job_outcome_on_head, job_extend_on_request,
     job_on_reply, job_on_abandon},
    {HTTP_METHOD_POST, "/v1/jobs/{id}/cancel", job_outcome_on_head, job_cancel_on_request,
     job_on_reply, job_on_abandon},
    {HTTP_METHOD_GET, "/v1/jobs/{id}", job_get_on_head, job_get_on_request, job_on_reply,
     job_on_abandon},
    {HTTP_METHOD_POST, "/v1/flows", job_batch_on_head, job_flow_on_request, job_on_reply,
     job_on_abandon},
    {HTTP_METHOD_GET, "/v1/queues", queue_get_on_head, queue_list_on_request, queue_on_reply,
     job_on_abandon},
    {HTTP_METHOD_GET, "/v1/queues/{kind}", queue_get_on_head, queue_get_on_request, queue_on_reply,
     job_on_abandon},
    {HTTP_METHOD_PUT, "/v1/queues/{kind}", queue_set_on_head, queue_put_on_request, queue_on_reply,
     job_on_abandon},
    {HTTP_METHOD_POST, "/v1/queues/{kind}/pause", queue_set_on_head, queue_pause_on_request,
     queue_on_reply, job_on_abandon},
    {HTTP_METHOD_POST, "/v1/queues/{kind}/resume", queue_set_on_head, queue_resume_on_request,
     queue_on_reply, job_on_abandon},
    {HTTP_METHOD_POST, "/v1/queues/{kind}/drain", queue_set_on_head, queue_drain_on_request,
     queue_on_reply, job_on_abandon},
    {HTTP_METHOD_PUT, "/v1/schedules/{name}", schedule_put_on_head, schedule_put_on_request,
     schedule_on_reply, errand_on_abandon},
    {HTTP_METHOD_GET, "/v1/schedules/{name}", schedule_look_on_head, schedule_get_on_request,
     schedule_on_reply, errand_on_abandon},
    {HTTP_METHOD_DELETE, "/v1/schedules/{name}", schedule_delete_on_head,
     schedule_delete_on_request, schedule_on_reply, errand_on_abandon},
    {HTTP_METHOD_GET, "/v1/schedules", schedule_look_on_head, schedule_list_on_request,
     schedule_on_reply, errand_on_abandon},
    {HTTP_METHOD_GET, "/v1/incidents", reader_on_head, incident_list_on_request, reader_on_reply,
     reader_on_abandon},
    {HTTP_METHOD_GET, "/v1/incidents/{id}", reader_on_head, incident_get_on_request,
     reader_on_reply, reader_on_abandon},
    {HTTP_METHOD_PATCH, "/v1/incidents/{id}", incident_change_on_head, incident_change_on_request,
     incident_change_on_reply, errand_on_abandon},
    {HTTP_METHOD_GET, "/v1/incident-rules", incident_rules_get_on_head,
     incident_rules_get_on_request, incident_change_on_reply, errand_on_abandon},
    {HTTP_METHOD_PUT, "/v1/incident-rules", incident_rules_put_on_head,
     incident_rules_put_on_request, incident_change_on_reply, errand_on_abandon},
    {HTTP_METHOD_GET, "/v1/incidents/{id}/events", reader_on_head, incident_events_on_request,
     reader_on_reply, reader_on_abandon},
    {HTTP_METHOD_GET, "/v1/search/events", reader_on_head, search_events_on_request,
     reader_on_reply, reader_on_abandon},
    {HTTP_METHOD_GET, "/v1/metrics/overview", reader_on_head, metrics_overview_on_request,
     reader_on_reply, reader_on_abandon},
    {HTTP_METHOD_GET, "/v1/metrics/trends", reader_on_head, metrics_trends_on_request,
     reader_on_reply, reader_on_abandon},
    {HTTP_METHOD_GET, "/v1/ai/runs", reader_on_head, ai_runs_on_request, reader_on_reply,
     reader_on_abandon},
    {HTTP_METHOD_GET, "/v1/ai/runs/{id}", reader_on_head, ai_run_on_request, reader_on_reply,
     reader_on_abandon},
    {HTTP_METHOD_GET, "/v1/ai/stats", reader_on_head, ai_stats_on_request, reader_on_reply,
     reader_on_abandon},
    {HTTP_METHOD_GET, "/v1/ai/activity", reader_on_head, ai_activity_on_request, reader_on_reply,
     reader_on_abandon},
    {HTTP_METHOD_GET, "/v1/ai/jobs", reader_on_head, ai_jobs_on_request, reader_on_reply,
     reader_on_abandon},
    {HTTP_METHOD_GET, "/livez", health_on_head, health_live_on_request, NULL, NULL},
    {HTTP_METHOD_GET, "/healthz", health_on_head, health_on_request, NULL, NULL},
    {HTTP_METHOD_GET, "/readyz", health_on_head, health_ready_on_request, NULL, NULL},
    {HTTP_METHOD_GET, "/metrics", scrape_on_head, scrape_on_request, scrape_on_reply,
     scrape_on_abandon},
    {HTTP_METHOD_GET, "/openapi.json", openapi_on_head, openapi_on_request, NULL, NULL},
    {HTTP_METHOD_GET, "/v1/capabilities", health_on_head, health_capabilities_on_request, NULL,
     NULL},
    {HTTP_METHOD_POST, "/v1/admin/keys", key_on_head, key_create_on_request, key_on_reply,
     key_on_abandon},
    {HTTP_METHOD_GET, "/v1/admin/keys", key_on_head, key_list_on_request, NULL, NULL},
    {HTTP_METHOD_DELETE, "/v1/admin/keys/{id}", key_on_head, key_revoke_on_request, key_on_reply,
     key_on_abandon},
    {HTTP_METHOD_GET, "/v1/admin/runtime", inspection_on_head, inspection_runtime_on_request,
     inspection_on_reply, inspection_on_abandon},
    {HTTP_METHOD_GET, "/v1/admin/doctor", inspection_on_head, inspection_doctor_on_request,
     inspection_on_reply, inspection_on_abandon},
    {HTTP_METHOD_GET, "/v1/admin/dlq", dlq_on_head, dlq_list_on_request, dlq_on_reply,
     dlq_on_abandon},
    {HTTP_METHOD_POST, "/v1/admin/dlq/replay", dlq_on_head, dlq_replay_on_request, dlq_on_reply,
     dlq_on_abandon},
    {HTTP_METHOD_GET, "/v1/admin/dlq/replays", dlq_on_head, dlq_replays_on_request, dlq_on_reply,
     dlq_on_abandon},
    {HTTP_METHOD_GET, "/v1/admin/dlq/replays/{id}", dlq_on_head, dlq_progress_on_request,
     dlq_on_reply, dlq_on_abandon},
    {HTTP_METHOD_DELETE, "/v1/admin/dlq/replays/{id}", dlq_on_head, dlq_stop_on_request,
     dlq_on_reply, dlq_on_abandon},
    {HTTP_METHOD_GET, "/v1/admin/dlq/{id}", dlq_on_head, dlq_get_on_request, dlq_on_reply,
     dlq_on_abandon},
    {HTTP_METHOD_DELETE, "/v1/admin/dlq/{id}", dlq_on_head, dlq_drop_on_request, dlq_on_reply,
     dlq_on_abandon},
};

const uint32_t APP_ROUTE_COUNT = ARRAY_COUNT(APP_ROUTES);
