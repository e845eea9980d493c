/* Days from civil and back (proleptic Gregorian, eras of 400 years that begin on 1 March). */
#include "common/store.h"

static const int64_t US = 1000000, DAY = 86400, ERA = 146097, EPOCH = 719468;

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t store_date_us(const struct store_date *d)
{
    int64_t y = d->year - (d->month <= 2), m = d->month;
    int64_t era = floor_div(y, 400), yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d->day - 1;
    int64_t days = era * ERA + yoe * 365 + yoe / 4 - yoe / 100 + doy - EPOCH;
    int64_t seconds = ((days * 24 + d->hour) * 60 + d->minute) * 60 + d->second;
    return seconds * US + (int64_t)d->us;
}

struct store_date store_date_of(int64_t us)
{
    int64_t seconds = floor_div(us, US), days = floor_div(seconds, DAY);
    int64_t of_day = seconds - days * DAY, z = days + EPOCH;
    int64_t era = floor_div(z, ERA), doe = z - era * ERA;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    return (struct store_date){
        .year = (int)(yoe + era * 400 + (month <= 2)),
        .month = month,
        .day = (unsigned)(doy - (153 * mp + 2) / 5 + 1),
        .hour = (unsigned)(of_day / 3600),
        .minute = (unsigned)(of_day / 60 % 60),
        .second = (unsigned)(of_day % 60),
        .us = (unsigned long)(us - seconds * US),
    };
}
