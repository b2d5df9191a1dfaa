// What followed the profiles most similar to one; the twin is SimilarProfiles.followed_one of hup.models.hup.mixture.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "largest.hpp"
#include "products.hpp"
#include "single_model.hpp"

namespace hup {

// Codes, the same one more than once, and their shares.
struct Followed {
    std::vector<int64_t> code;
    std::vector<float> share;
};

inline Followed followed(const SimilarTables& tables, const float* profile, int64_t current) {
    const int64_t size = tables.size;
    std::vector<float> unit(profile, profile + size), cosines(tables.n_clusters, 0.0f);
    const float length = std::max(std::sqrt(dot(profile, profile, size)), 1e-12f);
    for (float& one : unit) one /= length;
    add_product(tables.centers, tables.n_clusters, size, size, unit.data(), cosines.data());
    for (int64_t cluster = 0; cluster < tables.n_clusters; ++cluster)
        if (tables.bounds[cluster] == tables.bounds[cluster + 1]) cosines[cluster] = -INFINITY;
    std::vector<Place> near;
    largest(cosines.data(), tables.n_clusters, tables.nearest, near);

    Followed found;
    for (const Place& one : near) {
        const int64_t low = tables.bounds[one.at], high = tables.bounds[one.at + 1];
        const size_t first = found.share.size();
        found.code.insert(found.code.end(), tables.codes + low, tables.codes + high);
        found.share.resize(first + (high - low));
        add_product(tables.kept + low * size, high - low, size, size, unit.data(), found.share.data() + first);
    }
    found.share.resize((found.share.size() + WIDTH - 1) / WIDTH * WIDTH, 0.0f);
    for (size_t i = 0; i < found.share.size(); i += WIDTH)
        store(found.share.data() + i, exp((load(found.share.data() + i) - all(1.0f)) / all(tables.temperature)));
    found.share.resize(found.code.size());
    double total = 0;
    for (size_t i = 0; i < found.code.size(); ++i) {
        if (found.code[i] == current) found.share[i] = 0;
        total += found.share[i];
    }
    const float scale = float(1 / std::max(total, 1e-30));
    for (float& share : found.share) share *= scale;
    return found;
}

}  // namespace hup
