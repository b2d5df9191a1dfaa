// What was counted pooled with what the profile says; see hup.nn.pooling.Pool. The twin is SingleMixture of
// hup.models.hup.mixture.single.answer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
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
    return total > TINY ? float(weights.dense * mass / total) : 0.0f;
}

constexpr int64_t BLOCK = 1024;  // of sums in single precision

// What is made of likings, several at a time: E but for a factor, and what everything is raised by. There may be very
// many, so it is cheaper to work them out again than to keep them.
struct Said {
    Floats dense, raised;
};

inline Said said(Floats liking, Floats runs, float top, const Weights& weights) {
    const Floats above = liking - all(top);
    return {exp(above) * (runs + all(DAMPED)), exp(above * all(weights.strength))};
}

// How a profile likes the codes of a level: products with their vectors, nearly right where these are coarse.
class Likings {
  public:
    Likings(const LevelTables& level, const float* profile) : level_(level), profile_(profile) {
        if (level.coarse.numbers) coarse_ = CoarseFactor(profile, level.targets.size);
    }

    // Those from one code, the first of a block, to before another; there is room for a whole block.
    void of(int64_t low, int64_t high, float* to) const {
        const int64_t size = level_.targets.size;
        if (level_.coarse.numbers) {
            coarse_product(level_.coarse, low, high, coarse_, to);
        } else {
            std::fill_n(to, high - low, 0.0f);
            add_product(level_.vectors + low * size, high - low, size, size, profile_, to);
        }
    }

  private:
    const LevelTables& level_;
    const float* profile_;
    CoarseFactor coarse_;
};

// The greatest liking of a block.
inline float greatest(const float* liking) {
    Floats most = all(NEVER);
    for (int64_t i = 0; i < BLOCK; i += WIDTH) most = larger(most, load(liking + i));
    float top = NEVER;
    for (int one = 0; one < WIDTH; ++one) top = std::max(top, most[one]);
    return top;
}

// Calls `look(low, high)` for blocks of n, whose sums are taken in single precision each.
template <class Look>
void by_blocks(int64_t n, Look look) {
    for (int64_t low = 0; low < n; low += BLOCK) look(low, std::min(n, low + BLOCK));
}

// Weighs what followed similar profiles, and adds it, raised; gives what was added in all.
inline double add_similar(Followed& similar, float weight, const std::vector<float>& liking, float top, float strength,
                          float* known) {
    double added = 0;
    const int64_t n = int64_t(similar.code.size());
    for (int64_t low = 0; low < n; low += WIDTH) {
        const int left = int(std::min<int64_t>(WIDTH, n - low));
        Floats above = all(0.0f);
        for (int one = 0; one < left; ++one) above[one] = liking[similar.code[low + one]] - top;
        const Floats raised = exp(above * all(strength));
        for (int one = 0; one < left; ++one) {
            float& share = similar.share[low + one];
            share *= weight;
            const float more = share * raised[one];
            known[similar.code[low + one]] += more;
            added += more;
        }
    }
    return added;
}

// Where likings (n,) are coarse, works them out anew for all that has a share of some weight, and gives what the sum of
// `known` becomes. Of less likely codes no one sees the error, which is about a hundredth of so little. `total` is the
// sum of E but for its factor, and `dense_sum` that of the same, raised.
inline double refine(const LevelTables& level, const Weights& weights, const float* profile, const float* liking,
                     int64_t current, double mass, const float* counted, double total, double dense_sum, double sums,
                     float* known, Brought& brought) {
    struct Likely {
        int64_t code;
        float dense, raised;
    };
    thread_local std::vector<Likely> likely;
    thread_local std::vector<float> again;
    likely.clear();
    again.clear();
    const float least = float(sums) * SEEN;
    for (int64_t i = 0; i < level.size; i += WIDTH) {
        const int left = int(std::min<int64_t>(WIDTH, level.size - i));
        const Floats of = load(known + i, left);
        if (!any(of > all(least))) continue;
        const Said each = said(load(liking + i), load(level.runs + i, left), brought.top, weights);
        for (int one = 0; one < left; ++one)
            if (of[one] > least && i + one != current) likely.push_back({i + one, each.dense[one], each.raised[one]});
    }

    const int64_t d = level.targets.size, n = int64_t(likely.size());
    constexpr int64_t AHEAD = 16;  // vectors lie far apart, and memory is slow to find them
    for (int64_t place = 0; place < n; ++place) {
        prefetch(level.vectors + likely[std::min(place + AHEAD, n - 1)].code * d, d);
        const auto& [code, dense, raised] = likely[place];
        again.push_back(dot(level.vectors + code * d, profile, d));
        total += double(std::exp(again.back() - brought.top)) * (level.runs[code] + DAMPED) - dense;
    }
    const float before = brought.dense;
    brought.dense = dense_scale(weights, mass, total);
    sums += (double(brought.dense) - before) * dense_sum;
    for (int64_t place = 0; place < n; ++place) {
        const auto& [code, dense, raised] = likely[place];
        const float base = counted[code] * brought.rest;
        const float similar = known[code] - (base + dense * before) * raised;
        const float anew = std::exp((again[place] - brought.top) * weights.strength);
        const float fits = brought.fits(again[place], level.runs[code]);
        const float both = (base + fits) * anew + similar * (anew / raised);
        sums += double(both) - known[code] - double(brought.dense - before) * dense * raised;
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
    thread_local std::vector<float> liking;
    liking.resize((n + BLOCK - 1) / BLOCK * BLOCK);
    float of_current = 0, top = NEVER;
    double total = 0, sums = 0, dense_sum = 0;
    for (const float one : own.liking) top = std::max(top, one);
    for (const float one : own.liking) total += DAMPED * std::exp(one - top);
    const Likings likings(level, profile);
    by_blocks(n, [&](int64_t low, int64_t high) {
        float* block = liking.data() + low;
        likings.of(low, high, block);
        std::fill(block + (high - low), block + BLOCK, NEVER);
        if (low <= current && current < high) of_current = std::exchange(block[current - low], NEVER);
        const float most = greatest(block);
        if (most > top) total *= std::exp(std::exchange(top, most) - most);
        Floats part = all(0.0f);
        for (int64_t i = low; i < high; i += WIDTH) {
            const Floats runs = load(level.runs + i, int(std::min<int64_t>(WIDTH, n - i)));
            part += exp(load(liking.data() + i) - all(top)) * (runs + all(DAMPED));
        }
        total += sum(part);
    });
    if (top == NEVER) top = 0;
    brought.rest = 1 - weights.dense - weights.similar;
    brought.dense = dense_scale(weights, mass, total);
    brought.top = top;
    const float base_of_current = current < 0 ? 0.0f : counted[current];
    by_blocks(n, [&](int64_t low, int64_t high) {
        Floats part = all(0.0f), dense_part = all(0.0f);
        for (int64_t i = low; i < high; i += WIDTH) {
            const int left = int(std::min<int64_t>(WIDTH, n - i));
            const auto [dense, raised] = said(load(liking.data() + i), load(level.runs + i, left), top, weights);
            const Floats both = (load(counted + i, left) * all(brought.rest) + dense * all(brought.dense)) * raised;
            store(known + i, both, left);
            part += both;
            dense_part += dense * raised;
        }
        sums += sum(part);
        dense_sum += sum(dense_part);
    });
    if (current >= 0) {
        known[current] = base_of_current * brought.rest * std::exp((of_current - top) * weights.strength);
        sums += known[current];
    }
    if (similar && weights.similar != 0) {
        brought.similar = followed(*similar, profile, current);
        sums += add_similar(brought.similar, float(weights.similar * mass), liking, top, weights.strength, known);
    }
    if (level.coarse.numbers)
        sums = refine(level, weights, profile, liking.data(), current, mass, counted, total, dense_sum, sums, known,
                      brought);
    for (int64_t one = 0; one < own.count(); ++one) {
        const float fits = brought.fits(own.liking[one], 0);
        const float lift = std::exp(weights.strength * (own.liking[one] - top));
        own.probability[one] = (own.counted[one] * brought.rest + fits) * lift;
        sums += own.probability[one];
    }
    return mass / std::max(sums, double(TINY));
}

}  // namespace hup
