/*
 * The exact integer value is found without any rounding: all digits but trailing
 * zeros go into a 64-bit significand, what is left is a power of ten. A significand
 * that overflows has more than 19 significant digits, so the number is either no
 * integer or beyond int64_t.
 *
 * ECMAScript prints the fewest digits that read back as the same double. Any decimal
 * of up to 15 digits survives the way through a double, so printing 15, 16 and then
 * 17 digits until one reads back, without trailing zeros, finds them. Subnormals have
 * fewer digits to give and are tried from one digit on.
 */
#include "contracts/json_number.h"

#include <float.h>
#include <math.h>

enum {
    EXPONENT_MAX = 1000000000, /* larger ones are all the same: zero or infinite */
    SHORTEST_DIGITS_MAX = 17,
};

struct decimal {
    bool is_negative;
    uint64_t significand; /* without trailing zeros */
    int64_t exponent;     /* the value is significand * 10^exponent */
};

static int64_t parse_exponent(const char *at, const char *end)
{
    bool is_negative = *at == '-';
    int64_t exponent = 0;

    at += *at == '-' || *at == '+';
    assert(at < end);
    for (; at < end; at++)
        if (exponent < EXPONENT_MAX)
            exponent = exponent * 10 + (*at - '0');
    return is_negative ? -exponent : exponent;
}

/* Multiplies by ten to the power of shift and adds digit. False when it overflows. */
static bool append_digit(uint64_t *significand, int64_t shift, unsigned digit)
{
    for (; shift > 0; shift--)
        if (__builtin_mul_overflow(*significand, 10u, significand))
            return *significand == 0;
    return !__builtin_add_overflow(*significand, digit, significand);
}

/* False when the significand has too many digits. */
static bool parse_decimal(struct slice number, struct decimal *ret_decimal)
{
    struct decimal decimal = {0};
    const char *at = number.data;
    const char *end = at + number.size;
    bool is_fraction = false;
    int64_t zero_count = 0;

    assert(number.size > 0);
    decimal.is_negative = *at == '-';
    for (at += decimal.is_negative; at < end; at++) {
        if (*at == '.') {
            is_fraction = true;
            continue;
        }
        if (*at == 'e' || *at == 'E') {
            decimal.exponent += parse_exponent(at + 1, end);
            break;
        }
        decimal.exponent -= is_fraction;
        if (*at == '0') {
            zero_count += decimal.significand != 0;
            continue;
        }
        if (!append_digit(&decimal.significand, zero_count + 1, (unsigned)(*at - '0')))
            return false;
        zero_count = 0;
    }
    decimal.exponent += zero_count;
    *ret_decimal = decimal;
    return true;
}

bool json_number_to_i64(struct slice number, int64_t *ret_value)
{
    struct decimal decimal;
    uint64_t limit;

    if (!parse_decimal(number, &decimal))
        return false;
    if (decimal.significand == 0) {
        *ret_value = 0;
        return true;
    }
    if (decimal.exponent < 0 || decimal.exponent > 18 ||
        !append_digit(&decimal.significand, decimal.exponent, 0))
        return false;
    limit = (uint64_t)INT64_MAX + decimal.is_negative;
    if (decimal.significand > limit)
        return false;
    *ret_value = (int64_t)(decimal.is_negative ? 0 - decimal.significand : decimal.significand);
    return true;
}

bool json_number_to_double(struct slice number, double *ret_value)
{
    char text[JSON_NUMBER_DOUBLE_SIZE_MAX + 1];

    assert(number.size > 0);
    if (number.size > JSON_NUMBER_DOUBLE_SIZE_MAX)
        return false;
    memcpy(text, number.data, number.size);
    text[number.size] = '\0';
    *ret_value = strtod(text, NULL);
    return true;
}

/* Gives the shortest digits, without trailing zeros, of the positive finite value. */
static int shortest_digits(double value, char digits[SHORTEST_DIGITS_MAX], int *ret_exponent)
{
    char text[SHORTEST_DIGITS_MAX + 16];
    int count;
    long exponent;

    assert(value > 0);
    for (count = value < DBL_MIN ? 1 : 15; count <= SHORTEST_DIGITS_MAX; count++) {
        snprintf(text, sizeof(text), "%.*e", count - 1, value);
        if (strtod(text, NULL) == value)
            break;
    }
    assert(count <= SHORTEST_DIGITS_MAX);
    exponent = strtol(strchr(text, 'e') + 1, NULL, 10);
    digits[0] = text[0];
    memcpy(digits + 1, text + 2, (size_t)count - 1);
    while (count > 1 && digits[count - 1] == '0')
        count--;
    *ret_exponent = (int)exponent;
    return count;
}

/* point is where the decimal point stands, counted from the first digit. */
static size_t put_decimal(char *text, const char *digits, int count, int point)
{
    size_t size = 0;

    if (point <= 0) {
        text[size++] = '0';
        text[size++] = '.';
        for (int i = point; i < 0; i++)
            text[size++] = '0';
    }
    for (int i = 0; i < count || i < point; i++) {
        if (i == point && point > 0)
            text[size++] = '.';
        text[size++] = i < count ? digits[i] : '0';
    }
    return size;
}

static size_t put_scientific(char *text, const char *digits, int count, int exponent)
{
    size_t size = 0;

    text[size++] = digits[0];
    if (count > 1) {
        text[size++] = '.';
        memcpy(text + size, digits + 1, (size_t)count - 1);
        size += (size_t)count - 1;
    }
    return size + (size_t)snprintf(text + size, JSON_NUMBER_TEXT_SIZE - size - 1, "e%+d", exponent);
}

size_t json_number_format(struct slice number, char ret_text[JSON_NUMBER_TEXT_SIZE])
{
    char digits[SHORTEST_DIGITS_MAX];
    double value;
    int count;
    int exponent;
    size_t size = 0;

    if (!json_number_to_double(number, &value))
        return 0;
    if (value == 0) {
        ret_text[0] = '0'; /* negative zero prints without its sign */
        return 1;
    }
    if (value < 0)
        ret_text[size++] = '-';
    if (isinf(value)) {
        memcpy(ret_text + size, "Infinity", 8);
        return size + 8;
    }
    count = shortest_digits(fabs(value), digits, &exponent);
    if (exponent >= -6 && exponent < 21)
        size += put_decimal(ret_text + size, digits, count, exponent + 1);
    else
        size += put_scientific(ret_text + size, digits, count, exponent);
    assert(size <= JSON_NUMBER_TEXT_SIZE);
    return size;
}
