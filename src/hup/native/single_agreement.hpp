// Levels as marginals of one distribution; the twin is hup.models.hup.mixture.single.agreement.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "logarithm.hpp"
#include "simd.hpp"
#include "single_pooling.hpp"

namespace hup {

constexpr double LEAST = 1e-12;

// Probabilities of one level: those of the vocabulary and of the session's own, all to be multiplied by `scale`.
struct Distribution {
    float* known;
    int64_t size;
    Own* own;
    double scale;

    double mass() const {
        double total = sum_of(known, size);
        for (const float one : own->probability) total += one;
        return total * scale;
    }

    void settle() {
        for (int64_t i = 0; i < size; ++i) known[i] *= float(scale);
        for (float& one : own->probability) one *= float(scale);
        scale = 1;
    }
};

// Leaves out the item that the user is on; the others share what it had.
inline void leave_out(Distribution& items, int64_t current) {
    if (current < 0) return;
    const double left = 1 - items.known[current] * items.scale;
    items.known[current] = 0;
    items.scale /= std::max(left, 1e-6);
}

// Sums by parent, those that the level above has: of the vocabulary, then of what the session has beyond.
struct Sums {
    std::vector<float> known, own;
    double without = 0;  // of what has no parent there

    double mass() const {
        double total = without + sum_of(known.data(), int64_t(known.size()));
        for (const float one : own) total += one;
        return total;
    }
};

inline int64_t place_of(int64_t parent, const Distribution& above) {
    if (parent < above.size) return parent;
    const auto& codes = above.own->code;
    const auto found = std::find(codes.begin(), codes.end(), parent);
    return found == codes.end() ? -1 : above.size + (found - codes.begin());
}

inline Sums sums_by_parent(const Distribution& fine, const int32_t* parents, const Distribution& above) {
    Sums sums;
    sums.known.assign(above.size, 0.0f);
    sums.own.assign(above.own->count(), 0.0f);
    for (int64_t i = 0; i < fine.size; ++i) sums.known[parents[i]] += fine.known[i];
    for (int64_t one = 0; one < fine.own->count(); ++one) {
        const float probability = fine.own->probability[one];
        const int64_t place = place_of(fine.own->parent[one], above);
        if (place < 0)
            sums.without += probability * fine.scale;
        else
            (place < above.size ? sums.known[place] : sums.own[place - above.size]) += probability;
    }
    for (float& one : sums.known) one *= float(fine.scale);
    for (float& one : sums.own) one *= float(fine.scale);
    return sums;
}

// Pools a level with what the finer one says of it, in place.
inline void pool_with(Distribution& level, const Sums& said, float trust) {
    const double mass = level.mass();
    level.settle();
    const auto together = [&](float* own, const float* other, int64_t n) {
        for (int64_t i = 0; i < n; i += WIDTH) {
            const int left = int(std::min<int64_t>(WIDTH, n - i));
            const Floats x = larger(load(own + i, left), all(float(LEAST)));
            const Floats y = larger(load(other + i, left), all(float(LEAST)));
            store(own + i, exp(log(x) * all(1 - trust) + log(y) * all(trust)), left);
        }
    };
    together(level.known, said.known.data(), level.size);
    together(level.own->probability.data(), said.own.data(), level.own->count());
    level.scale = mass / std::max(level.mass(), LEAST);
    level.settle();
}

// Shares the probability of each coarser category out among its children, in place; `sums` are the level's own.
inline void share_out(Distribution& level, const Sums& sums, const int32_t* parents, const Distribution& above) {
    std::vector<float> factors(above.size + above.own->count());
    double after = sums.without;
    for (size_t place = 0; place < factors.size(); ++place) {
        const bool inside = int64_t(place) < above.size;
        const float sum = inside ? sums.known[place] : sums.own[place - above.size];
        const float total = inside ? above.known[place] : above.own->probability[place - above.size];
        factors[place] = sum > 0 && total > 0 ? total / std::max(sum, TINY) : 1.0f;
        after += factors[place] * sum;
    }
    const float scale = float(level.scale * sums.mass() / std::max(after, LEAST));
    for (float& factor : factors) factor *= scale;
    for (int64_t i = 0; i < level.size; ++i) level.known[i] *= factors[parents[i]];
    for (int64_t one = 0; one < level.own->count(); ++one) {
        const int64_t place = place_of(level.own->parent[one], above);
        level.own->probability[one] *= place < 0 ? scale : factors[place];
    }
    level.scale = 1;
}

// Makes one distribution of what the levels say, finest first; `parents` of all but the coarsest.
inline void agree(const Model& model, std::vector<Distribution>& levels) {
    std::vector<Sums> sums;  // of every level but the coarsest, by itself
    Sums said;
    for (size_t level = 1; level < levels.size(); ++level) {
        const int32_t* parents = model.levels[level - 1].parents;
        if (level == 1) {
            said = sums_by_parent(levels[0], parents, levels[1]);
            sums.push_back(said);
        } else {
            Own beyond = *levels[level - 1].own;  // what the finest level says of the one below this
            beyond.probability = said.own;
            const Distribution below{said.known.data(), levels[level - 1].size, &beyond, 1.0};
            said = sums_by_parent(below, parents, levels[level]);
        }
        pool_with(levels[level], said, model.weights[level].trust);
    }
    for (size_t level = levels.size() - 1; level-- > 0;) {
        const int32_t* parents = model.levels[level].parents;
        const Distribution& above = levels[level + 1];
        share_out(levels[level], level ? sums_by_parent(levels[level], parents, above) : sums[0], parents, above);
    }
    if (levels.size() == 1) levels[0].settle();
}

}  // namespace hup
