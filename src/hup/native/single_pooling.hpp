// What was counted pooled with what the profile says; see hup.nn.pooling.Pool. The twin is SingleMixture of
// hup.models.hup.mixture.single.answer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

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

// What the profile brings in, beside what was counted.
struct Brought {
    float rest = 1;        // weight of what was counted
    float dense = 0;       // what exp(liking - top) * (runs + DAMPED) is multiplied by
    float top = 0;         // greatest liking
    Followed similar;      // shares of what followed similar profiles, weighed

    // Share of dense in what is liked so much and was visited so often.
    float fits(float liking, float runs) const { return dense * (runs + DAMPED) * std::exp(liking - top); }
};

constexpr int64_t BLOCK = 1024;  // of sums in single precision

// What was counted, `known` and `own.counted`, becomes what both say together, but for a factor, which is returned.
// `mass` is what it summed to, `current` as for count_in.
inline double pool(const LevelTables& level, const Weights& weights, const float* profile,
                   const SimilarTables* similar, int64_t current, double mass, float* known, Own& own,
                   Brought& brought) {
    const int64_t n = level.size;
    thread_local std::vector<float> liking, said;
    liking.assign((n + WIDTH - 1) / WIDTH * WIDTH, 0.0f);
    said.resize(liking.size());
    add_product(level.vectors, n, level.targets.size, level.targets.size, profile, liking.data());

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
    brought.dense = total > 0 ? float(weights.dense * mass / total) : 0.0f;
    brought.top = top;
    double sums = 0;
    for (int64_t i = 0; i < n;) {
        Floats part = all(0.0f);
        for (const int64_t end = std::min(n, i + BLOCK); i < end; i += WIDTH) {
            const int left = int(std::min<int64_t>(WIDTH, n - i));
            const Floats raised = exp((load(liking.data() + i) - all(top)) * all(weights.strength));
            const Floats base = left == WIDTH ? load(known + i) : load(known + i, left);
            const Floats both = (base * all(brought.rest) + load(said.data() + i) * all(brought.dense)) * raised;
            store(liking.data() + i, raised);
            left == WIDTH ? store(known + i, both) : store(known + i, both, left);
            part += both;
        }
        sums += sum(part);
    }
    if (similar && weights.similar != 0) {
        brought.similar = followed(*similar, profile, current);
        for (size_t at = 0; at < brought.similar.code.size(); ++at) {
            const int64_t code = brought.similar.code[at];
            brought.similar.share[at] *= float(weights.similar * mass);
            const float more = brought.similar.share[at] * liking[code];
            known[code] += more;
            sums += more;
        }
    }
    for (int64_t one = 0; one < own.count(); ++one) {
        const float fits = brought.fits(own.liking[one], 0);
        const float raised = std::exp(weights.strength * (own.liking[one] - top));
        own.probability[one] = (own.counted[one] * brought.rest + fits) * raised;
        sums += own.probability[one];
    }
    return mass / std::max(sums, double(TINY));
}

}  // namespace hup
