#include "actors/openapi_routes.h"

#include "contracts/openapi.h"
#include "http/exchange.h"

int openapi_on_head(struct exchange *x)
{
    (void)x;
    return EXCHANGE_READ_BODY;
}

int openapi_on_request(struct exchange *x)
{
    struct response response = {
        .status = 200,
        .content_type = SLICE_LITERAL("application/json"),
        .body = openapi_document(),
    };

    assert(response.body.size > 0);
    return exchange_respond(x, &response);
}
