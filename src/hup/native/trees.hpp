// A table whose vectors are sums of a code's own and one for each of its ancestors (hup.nn.tables.TreeTable).
#pragma once

#include <cstdint>

namespace hup {

struct Tree {
    const float* own;  // (rows, size)
    int64_t rows, size, n_families;
    const float* const* families;  // coarsest first
    const int64_t* family_rows;

    // Puts the vector of a code of a path into `to`; what is not known adds nothing.
    void look_up(int64_t code, const int64_t* path, float* to) const {
        for (int64_t i = 0; i < size; ++i) to[i] = 0.0f;
        add(own, rows, code, to);
        for (int64_t k = 0; k < n_families; ++k) add(families[k], family_rows[k], path[k], to);
    }

  private:
    void add(const float* table, int64_t n, int64_t row, float* to) const {
        if (row < 0 || row >= n) return;
        for (int64_t i = 0; i < size; ++i) to[i] += table[row * size + i];
    }
};

}  // namespace hup
