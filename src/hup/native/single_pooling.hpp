// What was counted pooled with what the profile says; see hup.nn.pooling.Pool. The twin is SingleMixture of
// hup.models.hup.mixture.single.answer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "coarse.hpp"
#include "products.hpp"
#include "simd.hpp"
#include "single_counted.hpp"
#include "single_similar.hpp"

namespace hup {

// What of a session the vocabulary of a level lacks, (U,) each.
struct Own {
    std::vector<int64_t> visit, code, parent;
    std::vector<float> counted, liking, probability;

    int64_t count() const { return int64_t(code.size()); }
};

constexpr float DAMPED = 0.5f;  // is added to every count of popularity
constexpr float SEEN = 1e-5f;   // share that is worth an exact liking

// What the profile brings in, beside what was counted.
struct Brought {
    float rest = 1;        // weight of what was counted
    float dense = 0;       // what exp(liking - top) * (runs + DAMPED) is multiplied by
    float top = 0;         // greatest liking
    Followed similar;      // shares of what followed similar profiles, weighed

    // Share of dense in what is liked so much and was visited so often.
    float fits(float liking, float runs) const { return dense * (runs + DAMPED) * std::exp(liking - top); }
};

// What E is multiplied by before it is raised: its share of the mass, over what it sums to.
inline float dense_scale(const Weights& weights, double mass, double total) {
    return total > 0 ? float(weights.dense * mass / total) : 0.0f;
}

constexpr int64_t BLOCK = 1024;  // of sums in single precision

// Likings (n,) as the vectors of a level have them, and what is made of them: E and what everything is raised by, but for
// factors.
struct Said {
    std::vector<float> liking, dense, raised;
    double dense_sum = 0;  // of dense * raised
};

// Where likings are coarse, works them out anew for all that has a share of some weight, and gives what the sum of
// `known` becomes. Of less likely codes no one sees the error, which is about a hundredth of so little. `total` is the
// sum of `said.dense` and of what the session has beyond.
inline double refine(const LevelTables& level, const Weights& weights, const float* profile, int64_t current,
                     double mass, const float* counted, double total, double sums, Said& said, float* known,
                     Brought& brought) {
    thread_local std::vector<int64_t> likely;
    thread_local std::vector<float> again;
    likely.clear();
    again.clear();
    const float least = float(sums) * SEEN;
    const auto look = [&](int64_t code) {
        if (known[code] > least && code != current) likely.push_back(code);
    };
    int64_t i = 0;
    for (; i + WIDTH <= level.size; i += WIDTH)
        if (any(load(known + i) > all(least)))
            for (int one = 0; one < WIDTH; ++one) look(i + one);
    for (; i < level.size; ++i) look(i);

    const int64_t d = level.targets.size, n = int64_t(likely.size());
    constexpr int64_t AHEAD = 6, LINE = 16;  // vectors lie far apart, and memory is slow to find them
    for (int64_t place = 0; place < n; ++place) {
        const float* next = level.vectors + likely[std::min(place + AHEAD, n - 1)] * d;
        for (int64_t at = 0; at < d; at += LINE) __builtin_prefetch(next + at);
        const int64_t code = likely[place];
        again.push_back(dot(level.vectors + code * d, profile, d));
        total += double(std::exp(again.back() - brought.top)) * (level.runs[code] + DAMPED) - said.dense[code];
    }
    const float before = brought.dense;
    brought.dense = dense_scale(weights, mass, total);
    sums += (double(brought.dense) - before) * said.dense_sum;
    for (int64_t place = 0; place < n; ++place) {
        const int64_t code = likely[place];
        const float coarse = counted[code] * brought.rest + said.dense[code] * before;
        const float similar = known[code] - coarse * said.raised[code];
        const float raised = std::exp((again[place] - brought.top) * weights.strength);
        const float fits = brought.fits(again[place], level.runs[code]);
        const float both = (counted[code] * brought.rest + fits) * raised + similar * (raised / said.raised[code]);
        sums += double(both) - known[code] - double(brought.dense - before) * said.dense[code] * said.raised[code];
        known[code] = both;
    }
    return sums;
}

// What was counted, `counted` and `own.counted`, becomes what both say together, `known` and `own.probability`, but for a
// factor, which is returned. `mass` is what it summed to, `current` as for count_in. `known` may be `counted`, unless
// likings are coarse.
inline double pool(const LevelTables& level, const Weights& weights, const float* profile,
                   const SimilarTables* similar, int64_t current, double mass, const float* counted, float* known,
                   Own& own, Brought& brought) {
    const int64_t n = level.size;
    thread_local Said of_all;
    auto& [liking, said, raised, dense_sum] = of_all;
    for (auto* one : {&liking, &said, &raised}) one->resize((n + TOGETHER - 1) / TOGETHER * TOGETHER);
    dense_sum = 0;
    const bool coarse = level.coarse.numbers;
    if (coarse) {
        coarse_product(level.coarse, n, level.targets.size, profile, liking.data());
    } else {
        std::fill(liking.begin(), liking.end(), 0.0f);
        add_product(level.vectors, n, level.targets.size, level.targets.size, profile, liking.data());
    }

    const float of_current = current >= 0 ? liking[current] : 0.0f;
    if (current >= 0) liking[current] = -INFINITY;
    Floats most = all(-INFINITY);
    for (int64_t i = 0; i + WIDTH <= n; i += WIDTH) most = larger(most, load(liking.data() + i));
    float top = -INFINITY;
    for (int k = 0; k < WIDTH; ++k) top = std::max(top, most[k]);
    for (int64_t i = n / WIDTH * WIDTH; i < n; ++i) top = std::max(top, liking[i]);
    for (const float one : own.liking) top = std::max(top, one);
    if (!std::isfinite(top)) top = 0;  // nothing else is there

    double total = 0;
    for (int64_t i = 0; i < n;) {
        Floats part = all(0.0f);
        for (const int64_t end = std::min(n, i + BLOCK); i < end; i += WIDTH) {
            const int left = int(std::min<int64_t>(WIDTH, n - i));
            const Floats runs = left == WIDTH ? load(level.runs + i) + all(DAMPED) : load(level.runs + i, left);
            Floats one = exp(load(liking.data() + i) - all(top)) * runs;
            if (left < WIDTH)
                for (int k = 0; k < left; ++k) one[k] = std::exp(liking[i + k] - top) * (runs[k] + DAMPED);
            store(said.data() + i, one);
            part += one;
        }
        total += sum(part);
    }
    if (current >= 0) {
        total -= said[current];
        said[current] = 0;
        liking[current] = of_current;
    }
    for (const float one : own.liking) total += DAMPED * std::exp(one - top);

    brought.rest = 1 - weights.dense - weights.similar;
    brought.dense = dense_scale(weights, mass, total);
    brought.top = top;
    double sums = 0;
    for (int64_t i = 0; i < n;) {
        Floats part = all(0.0f), dense_part = all(0.0f);
        for (const int64_t end = std::min(n, i + BLOCK); i < end; i += WIDTH) {
            const int left = int(std::min<int64_t>(WIDTH, n - i));
            const Floats lift = exp((load(liking.data() + i) - all(top)) * all(weights.strength));
            const Floats base = left == WIDTH ? load(counted + i) : load(counted + i, left);
            const Floats dense = load(said.data() + i);
            const Floats both = (base * all(brought.rest) + dense * all(brought.dense)) * lift;
            store(raised.data() + i, lift);
            left == WIDTH ? store(known + i, both) : store(known + i, both, left);
            part += both;
            dense_part += dense * lift;
        }
        sums += sum(part);
        dense_sum += sum(dense_part);
    }
    if (similar && weights.similar != 0) {
        brought.similar = followed(*similar, profile, current);
        for (size_t at = 0; at < brought.similar.code.size(); ++at) {
            const int64_t code = brought.similar.code[at];
            brought.similar.share[at] *= float(weights.similar * mass);
            const float more = brought.similar.share[at] * raised[code];
            known[code] += more;
            sums += more;
        }
    }
    if (coarse)
        sums = refine(level, weights, profile, current, mass, counted, total, sums, of_all, known, brought);
    for (int64_t one = 0; one < own.count(); ++one) {
        const float fits = brought.fits(own.liking[one], 0);
        const float lift = std::exp(weights.strength * (own.liking[one] - top));
        own.probability[one] = (own.counted[one] * brought.rest + fits) * lift;
        sums += own.probability[one];
    }
    return mass / std::max(sums, double(TINY));
}

}  // namespace hup
