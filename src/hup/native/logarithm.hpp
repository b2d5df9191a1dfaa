// Natural logarithms of several floats at a time.
#pragma once

#include <cstdint>

#include "simd.hpp"

namespace hup {

// Of positive normal numbers, to about 2 units in the last place.
inline Floats log(Floats x) {
    Ints bits;
    std::memcpy(&bits, &x, sizeof bits);
    Ints exponent = (bits >> 23) - 126;
    bits = (bits & 0x007fffff) | 0x3f000000;
    Floats m;
    std::memcpy(&m, &bits, sizeof m);  // 0.5 to 1
    const Ints low = m < all(0.707106781f);
    exponent += low;  // -1 where it is true
    m = (low ? m + m : m) - all(1.0f);
    const Floats e = __builtin_convertvector(exponent, Floats), z = m * m;
    Floats p = all(7.0376836292e-2f);
    p = p * m - all(1.1514610310e-1f);
    p = p * m + all(1.1676998740e-1f);
    p = p * m - all(1.2420140846e-1f);
    p = p * m + all(1.4249322787e-1f);
    p = p * m - all(1.6668057665e-1f);
    p = p * m + all(2.0000714765e-1f);
    p = p * m - all(2.4999993993e-1f);
    p = p * m + all(3.3333331174e-1f);
    const Floats y = p * m * z + e * all(-2.12194440e-4f) - all(0.5f) * z;
    return m + y + e * all(0.693359375f);
}

// In place, of all numbers of an array.
inline void take_logs(float* values, int64_t n) {
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) store(values + i, log(load(values + i)));
    if (i < n) store(values + i, log(load(values + i, int(n - i))), int(n - i));
}

}  // namespace hup
