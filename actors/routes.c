#include "actors/app.h"
#include "actors/event_routes.h"
#include "actors/health_routes.h"
#include "actors/key_routes.h"

/* The busiest first: the router looks in this order. */
const struct route APP_ROUTES[] = {
    {HTTP_METHOD_POST, "/v1/events", event_on_head, event_on_request, event_on_reply,
     event_on_abandon},
    {HTTP_METHOD_POST, "/v1/events/batch", batch_on_head, batch_on_request, event_on_reply,
     event_on_abandon},
    {HTTP_METHOD_GET, "/v1/events/{id}", lookup_on_head, lookup_on_request, lookup_on_reply,
     lookup_on_abandon},
    {HTTP_METHOD_GET, "/livez", health_on_head, health_live_on_request, NULL, NULL},
    {HTTP_METHOD_GET, "/healthz", health_on_head, health_on_request, NULL, NULL},
    {HTTP_METHOD_GET, "/readyz", health_on_head, health_ready_on_request, NULL, NULL},
    {HTTP_METHOD_GET, "/metrics", scrape_on_head, scrape_on_request, scrape_on_reply,
     scrape_on_abandon},
    {HTTP_METHOD_GET, "/v1/capabilities", health_on_head, health_capabilities_on_request, NULL,
     NULL},
    {HTTP_METHOD_POST, "/v1/admin/keys", key_on_head, key_create_on_request, key_on_reply,
     key_on_abandon},
    {HTTP_METHOD_GET, "/v1/admin/keys", key_on_head, key_list_on_request, NULL, NULL},
    {HTTP_METHOD_DELETE, "/v1/admin/keys/{id}", key_on_head, key_revoke_on_request, key_on_reply,
     key_on_abandon},
};

const uint32_t APP_ROUTE_COUNT = ARRAY_COUNT(APP_ROUTES);
