/*
 * Bench HTTP: nanoseconds to parse a typical POST head and to write a typical
 * response head, on one core, warm caches.
 *
 * Prints the median and the best of several rounds, because a shared machine
 * takes time away; quote the median and name the machine. The head is the one
 * that a browser-like client with ten headers sends.
 */
#include <stdlib.h>
#include <time.h>

#include "http/request_parser.h"
#include "http/response_head.h"
#include "http/response_parser.h"
#include "runtime/base.h"

enum { ROUND_COUNT = 21, ITERATION_COUNT = 200000 };

static const char REQUEST[] = "POST /v1/events HTTP/1.1\r\n"
                              "Host: events.example.com:3000\r\n"
                              "User-Agent: weir-client/1.4 (linux; x86_64)\r\n"
                              "Accept: application/json\r\n"
                              "Accept-Encoding: gzip, deflate\r\n"
                              "Content-Type: application/json\r\n"
                              "Content-Length: 512\r\n"
                              "Connection: keep-alive\r\n"
                              "X-API-Key: dev-api-key-12345\r\n"
                              "X-Correlation-Id: 018f2b7e-6b1a-7c3e-9a55-1f2e3d4c5b6a\r\n"
                              "Idempotency-Key: evt_01HZXK8Q2M4N6P8R0T2V4W6Y8Z\r\n"
                              "\r\n"
                              "{\"event_type\":\"signup\"}";

static const char RESPONSE[] = "HTTP/1.1 202 Accepted\r\n"
                               "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                               "Content-Type: application/json\r\n"
                               "Content-Length: 98\r\n"
                               "X-Content-Type-Options: nosniff\r\n"
                               "Cache-Control: no-store\r\n"
                               "x-correlation-id: 018f2b7e-6b1a-7c3e-9a55-1f2e3d4c5b6a\r\n"
                               "\r\n";

static uint64_t now_ns(void)
{
    struct timespec now;
    int r = clock_gettime(CLOCK_MONOTONIC, &now);

    assert(r == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Keeps the compiler from seeing that a result is unused or an input constant. */
static void *hide(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static void parse_request_once(void)
{
    static struct http_request request;
    struct request_parser parser;
    enum http_parse_result result;

    request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
    result = request_parser_feed(&parser, hide((void *)(uintptr_t)REQUEST), sizeof(REQUEST) - 1,
                                 hide(&request));
    assert(result == HTTP_PARSE_DONE);
}

static void parse_response_once(void)
{
    static struct http_response response;
    struct response_parser parser;
    enum http_parse_result result;

    response_parser_init(&parser, REQUEST_HEAD_SIZE_MAX, false);
    result = response_parser_feed(&parser, hide((void *)(uintptr_t)RESPONSE), sizeof(RESPONSE) - 1,
                                  hide(&response));
    assert(result == HTTP_PARSE_DONE);
}

static void write_head_once(void)
{
    static char buffer[2048];
    static struct response_head head = {
        .status = 202,
        .framing = RESPONSE_CONTENT_LENGTH,
        .keep_alive = true,
        .date = {"Sun, 06 Nov 1994 08:49:37 GMT", HTTP_DATE_SIZE},
        .content_type = {"application/json", 16},
        .content_length = 98,
        .correlation_id = {"018f2b7e-6b1a-7c3e-9a55-1f2e3d4c5b6a", 36},
    };
    size_t size;
    int r = response_head_write(hide(&head), hide(buffer), sizeof(buffer), &size);

    assert(r == 0);
}

static void write_date_once(void)
{
    static char date[HTTP_DATE_SIZE];
    static uint64_t unix_ms = 1722470400000;

    unix_ms += 1000;
    http_date_write(unix_ms, hide(date));
}

static int compare(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0) - (difference < 0);
}

static void measure(const char *name, void (*once)(void))
{
    double rounds[ROUND_COUNT];

    for (int round = 0; round < ROUND_COUNT; round++) {
        uint64_t start = now_ns();

        for (int i = 0; i < ITERATION_COUNT; i++)
            once();
        rounds[round] = (double)(now_ns() - start) / ITERATION_COUNT;
    }
    qsort(rounds, ROUND_COUNT, sizeof(rounds[0]), compare);
    printf("%-28s median %7.1f ns   best %7.1f ns\n", name, rounds[ROUND_COUNT / 2], rounds[0]);
}

int main(void)
{
    printf("request head: %td bytes, 10 headers\n", strstr(REQUEST, "\r\n\r\n") - REQUEST + 4);
    measure("parse request head", parse_request_once);
    measure("parse response head", parse_response_once);
    measure("write response head", write_head_once);
    measure("write date", write_date_once);
    return 0;
}
