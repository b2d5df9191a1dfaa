// Behavior-LSTM (Eq. 4), forward and backward, over sequences of unlike length.
//
// Rows of a batch do not depend on each other: each thread takes its own sequences through all steps, and threads never
// wait for one another. The recurrent product of a few rows with all four gates stays in registers until the gates are
// applied, so nothing is written but what the backward pass reads again.

#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

#include "simd.hpp"

namespace {

using namespace hup;

// Rows of a tile: with two registers each they fill those that the processor has.
#if defined(HUP_WIDE)
constexpr int ROWS = 12;
#else
constexpr int ROWS = 6;
#endif

struct Batch {
    int64_t size;             // sequences
    const int64_t* starts;    // (B,) first step of each
    const int64_t* lengths;   // (B,)
    const uint8_t* commit;    // (S,) or null: all are committed
    int64_t* from;            // (S,) step whose state each step began from, -1: the first state
    const float* hidden0;     // (B, H)
    const float* cell0;       // (B, H)
};

struct Layer {
    int64_t hidden;  // H
    int64_t extra;   // 0, 1 or 2 gates that scale the input gate
    bool hard;
    int64_t width() const { return (4 + extra) * hidden; }
    int64_t blocks() const { return (hidden + WIDTH - 1) / WIDTH; }
    int block(int64_t j) const { return int(std::min<int64_t>(WIDTH, hidden - j * WIDTH)); }
};

// Calls work(at, n) for every WIDTH units, and for those that are left. Inlined, so that WIDTH is a constant there.
template <class Work>
inline __attribute__((always_inline)) void in_blocks(const Layer& layer, Work work) {
    int64_t at = 0;
    for (; at + WIDTH <= layer.hidden; at += WIDTH) work(at, WIDTH);
    if (at < layer.hidden) work(at, int(layer.hidden - at));
}

// Sequences of one thread, longest first: those that run at a step are the first ones.
using Rows = std::vector<int64_t>;

template <class Work>
void in_threads(const Batch& batch, int threads, Work work) {
    Rows order;
    for (int64_t row = 0; row < batch.size; ++row) order.push_back(row);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t one, int64_t other) { return batch.lengths[one] > batch.lengths[other]; });
    threads = int(std::max<int64_t>(1, std::min<int64_t>(threads, batch.size / 4)));
    std::vector<Rows> shares(threads);
    for (size_t at = 0; at < order.size(); ++at) shares[at % threads].push_back(order[at]);
    std::vector<std::thread> others;
    for (int number = 1; number < threads; ++number) others.emplace_back([&, number] { work(shares[number]); });
    work(shares[0]);
    for (auto& other : others) other.join();
}

size_t running(const Batch& batch, const Rows& rows, int64_t step, size_t before) {
    while (before && batch.lengths[rows[before - 1]] <= step) --before;
    return before;
}

Floats gate(Floats x, bool hard) { return hard ? hard_sigmoid(x) : sigmoid(x); }

Floats gate_slope(Floats y, bool hard) {
    if (!hard) return y * (all(1.0f) - y);
    return y > all(0.0f) ? (y < all(1.0f) ? all(0.2f) : all(0.0f)) : all(0.0f);
}

// (4H, H) -> for each WIDTH units j: for each k their weights of I and of F, then for each k those of C and of O. Zeros
// fill the last units up.
std::vector<float> packed_by_gate(const float* weight, const Layer& layer) {
    const int64_t size = layer.hidden;
    std::vector<float> packed(layer.blocks() * size * 4 * WIDTH, 0.0f);
    float* to = packed.data();
    for (int64_t j = 0; j < layer.blocks(); ++j)
        for (int64_t pair = 0; pair < 4; pair += 2)
            for (int64_t k = 0; k < size; ++k)
                for (int64_t g = pair; g < pair + 2; ++g, to += WIDTH)
                    for (int unit = 0; unit < layer.block(j); ++unit)
                        to[unit] = weight[(g * size + j * WIDTH + unit) * size + k];
    return packed;
}

// (4H, H) -> for each 2 WIDTH columns j, for each k of 4H: their weights.
std::vector<float> packed_by_column(const float* weight, const Layer& layer) {
    const int64_t size = layer.hidden, wide = 2 * WIDTH, blocks = (size + wide - 1) / wide;
    std::vector<float> packed(blocks * 4 * size * wide, 0.0f);
    float* to = packed.data();
    for (int64_t j = 0; j < blocks; ++j)
        for (int64_t k = 0; k < 4 * size; ++k, to += wide)
            std::copy_n(weight + k * size + j * wide, std::min(wide, size - j * wide), to);
    return packed;
}

// One row at one step, forward.
struct Step {
    const float *hidden_before, *cell_before;
    float *gates, *hidden, *cell;
};

// Adds the recurrent product to what stands before the activations of two gates: N rows, WIDTH units.
template <int N>
void add_products(const Step* steps, const float* panel, int64_t size, int64_t at, int n) {
    Floats one[N], other[N];
    for (int row = 0; row < N; ++row) {
        one[row] = load(steps[row].gates + at, n);
        other[row] = load(steps[row].gates + size + at, n);
    }
    for (int64_t k = 0; k < size; ++k, panel += 2 * WIDTH) {
        const Floats first = load(panel), second = load(panel + WIDTH);
        for (int row = 0; row < N; ++row) {
            const Floats h = all(steps[row].hidden_before[k]);
            one[row] += h * first;
            other[row] += h * second;
        }
    }
    for (int row = 0; row < N; ++row) {
        store(steps[row].gates + at, one[row], n);
        store(steps[row].gates + size + at, other[row], n);
    }
}

void activate(const Step& step, const Layer& layer) {
    in_blocks(layer, [&](int64_t at, int n) {
        const int64_t size = layer.hidden;
        float* gates = step.gates + at;
        const Floats i = gate(load(gates, n), layer.hard), f = gate(load(gates + size, n), layer.hard);
        const Floats c = tanh(load(gates + 2 * size, n)), o = gate(load(gates + 3 * size, n), layer.hard);
        Floats update = i * c;
        for (int64_t extra = 4; extra < 4 + layer.extra; ++extra) {
            const Floats scale = gate(load(gates + extra * size, n), layer.hard);
            store(gates + extra * size, scale, n);
            update *= scale;
        }
        const Floats cell = f * load(step.cell_before + at, n) + update;
        store(gates, i, n);
        store(gates + size, f, n);
        store(gates + 2 * size, c, n);
        store(gates + 3 * size, o, n);
        store(step.cell + at, cell, n);
        store(step.hidden + at, o * tanh(cell), n);
    });
}

void forward_rows(const Batch& batch, const Layer& layer, const Rows& rows, const float* packed, float* gates,
                  float* hidden, float* cell) {
    if (rows.empty()) return;
    const int64_t size = layer.hidden;
    std::vector<int64_t> last(rows.size(), -1);  // last committed step
    std::vector<Step> steps(rows.size());
    size_t n = rows.size();
    for (int64_t t = 0; (n = running(batch, rows, t, n)) > 0; ++t) {
        for (size_t row = 0; row < n; ++row) {
            const int64_t s = batch.starts[rows[row]] + t, before = last[row];
            steps[row] = {before < 0 ? batch.hidden0 + rows[row] * size : hidden + before * size,
                          before < 0 ? batch.cell0 + rows[row] * size : cell + before * size,
                          gates + s * layer.width(), hidden + s * size, cell + s * size};
            batch.from[s] = before;
            if (!batch.commit || batch.commit[s]) last[row] = s;
        }
        for (int64_t j = 0; j < 2 * layer.blocks(); ++j) {  // of each block I and F, then C and O
            const float* weights = packed + j * size * 2 * WIDTH;
            const int64_t at = j / 2 * WIDTH + j % 2 * 2 * size;
            const int units = layer.block(j / 2);
            size_t row = 0;
            for (; row + ROWS <= n; row += ROWS) add_products<ROWS>(&steps[row], weights, size, at, units);
            if (n - row >= 6) add_products<6>(&steps[row], weights, size, at, units), row += 6;
            if (n - row >= 4) add_products<4>(&steps[row], weights, size, at, units), row += 4;
            if (n - row >= 2) add_products<2>(&steps[row], weights, size, at, units), row += 2;
            if (n - row == 1) add_products<1>(&steps[row], weights, size, at, units);
        }
        for (size_t row = 0; row < n; ++row) activate(steps[row], layer);
    }
}

// to[row] = (keep ? to[row] : 0) + from[row] (4H) times the weights (4H, H), 2 WIDTH columns.
template <int N>
void carry_block(const float* const* from, float* const* to, const bool* keep, const float* panel, const Layer& layer,
                 int64_t j) {
    const int64_t size = layer.hidden, at = j * 2 * WIDTH;
    const int first = int(std::min<int64_t>(WIDTH, size - at));
    const int second = int(std::max<int64_t>(0, std::min<int64_t>(WIDTH, size - at - WIDTH)));
    Floats sums[N][2];
    for (int row = 0; row < N; ++row) {
        sums[row][0] = keep[row] ? load(to[row] + at, first) : all(0.0f);
        sums[row][1] = keep[row] && second ? load(to[row] + at + WIDTH, second) : all(0.0f);
    }
    for (int64_t k = 0; k < 4 * size; ++k, panel += 2 * WIDTH) {
        const Floats one = load(panel), other = load(panel + WIDTH);
        for (int row = 0; row < N; ++row) {
            const Floats x = all(from[row][k]);
            sums[row][0] += x * one;
            sums[row][1] += x * other;
        }
    }
    for (int row = 0; row < N; ++row) {
        store(to[row] + at, sums[row][0], first);
        if (second) store(to[row] + at + WIDTH, sums[row][1], second);
    }
}

struct Gradients {
    const float *hidden, *cell;  // (S, H) of the outputs; null: nothing comes
    float *gates;                // (S, (4 + extra) H)
    float *hidden0, *cell0;      // (B, H); what has been carried back so far
};

void backward_step(const Layer& layer, const float* active, const float* cell, const float* cell_before,
                   const float* from_hidden, const float* from_cell, float* gradient, float* carried_hidden,
                   float* carried_cell, bool committed) {
    const int64_t size = layer.hidden;
    const bool hard = layer.hard;
    const Floats one = all(1.0f), none = all(0.0f);
    in_blocks(layer, [&](int64_t at, int n) {
        const auto activation = [&](int64_t g) { return load(active + g * size + at, n); };
        const auto give = [&](int64_t g, Floats x) { store(gradient + g * size + at, x, n); };
        const Floats i = activation(0), f = activation(1), c = activation(2), o = activation(3);
        const Floats past_cell = load(carried_cell + at, n);
        Floats d_hidden = from_hidden ? load(from_hidden + at, n) : none;
        Floats d_cell = from_cell ? load(from_cell + at, n) : none;
        if (committed) {
            d_hidden += load(carried_hidden + at, n);
            d_cell += past_cell;
        }
        const Floats bent = tanh(load(cell + at, n));
        d_cell += d_hidden * o * (one - bent * bent);
        Floats scale = one;
        if (layer.extra > 0) scale = activation(4);
        if (layer.extra > 1) {
            const Floats other = activation(5), into = d_cell * i * c;
            give(4, into * other * gate_slope(scale, hard));
            give(5, into * scale * gate_slope(other, hard));
            scale *= other;
        } else if (layer.extra > 0) {
            give(4, d_cell * i * c * gate_slope(scale, hard));
        }
        give(0, d_cell * c * scale * gate_slope(i, hard));
        give(1, d_cell * load(cell_before + at, n) * gate_slope(f, hard));
        give(2, d_cell * i * scale * (one - c * c));
        give(3, d_hidden * bent * gate_slope(o, hard));
        store(carried_cell + at, d_cell * f + (committed ? none : past_cell), n);
    });
}

void backward_rows(const Batch& batch, const Layer& layer, const Rows& rows, const float* packed, const float* active,
                   const float* cell, const Gradients& gradients) {
    if (rows.empty()) return;
    const int64_t size = layer.hidden, width = layer.width(), panel = 4 * size * 2 * WIDTH;
    std::vector<const float*> from(rows.size());
    std::vector<float*> to(rows.size());
    // A bool a row in plain memory, which std::vector<bool> is not.
    std::vector<char> keep(rows.size());
    size_t n = 0;
    for (int64_t t = batch.lengths[rows[0]] - 1; t >= 0; --t) {
        while (n < rows.size() && batch.lengths[rows[n]] > t) ++n;
        for (size_t row = 0; row < n; ++row) {
            const int64_t b = rows[row], s = batch.starts[b] + t;
            const int64_t before = batch.from[s];
            const bool committed = !batch.commit || batch.commit[s];
            from[row] = gradients.gates + s * width;
            to[row] = gradients.hidden0 + b * size;
            keep[row] = !committed;
            backward_step(layer, active + s * width, cell + s * size,
                          before < 0 ? batch.cell0 + b * size : cell + before * size,
                          gradients.hidden ? gradients.hidden + s * size : nullptr,
                          gradients.cell ? gradients.cell + s * size : nullptr, gradients.gates + s * width, to[row],
                          gradients.cell0 + b * size, committed);
        }
        const bool* kept = reinterpret_cast<const bool*>(keep.data());
        for (int64_t j = 0; j * 2 * WIDTH < size; ++j) {
            const float* weights = packed + j * panel;
            size_t row = 0;
            for (; row + ROWS <= n; row += ROWS)
                carry_block<ROWS>(&from[row], &to[row], kept + row, weights, layer, j);
            if (n - row >= 6) carry_block<6>(&from[row], &to[row], kept + row, weights, layer, j), row += 6;
            if (n - row >= 4) carry_block<4>(&from[row], &to[row], kept + row, weights, layer, j), row += 4;
            if (n - row >= 2) carry_block<2>(&from[row], &to[row], kept + row, weights, layer, j), row += 2;
            if (n - row == 1) carry_block<1>(&from[row], &to[row], kept + row, weights, layer, j);
        }
    }
}

}  // namespace

extern "C" {

// Gates come in as what stands before their activations, (S, (4 + extra) H) in the order I, F, C, O and those that scale
// I, and go out activated. Hidden and cell go out, (S, H).
void behavior_lstm_forward(int64_t size, const int64_t* starts, const int64_t* lengths, const uint8_t* commit,
                           int64_t* from, const float* hidden0, const float* cell0, int64_t n_hidden, int64_t extra,
                           int hard, const float* weight, float* gates, float* hidden, float* cell, int threads) {
    const Batch batch{size, starts, lengths, commit, from, hidden0, cell0};
    const Layer layer{n_hidden, extra, hard != 0};
    const std::vector<float> packed = packed_by_gate(weight, layer);
    in_threads(batch, threads,
               [&](const Rows& rows) { forward_rows(batch, layer, rows, packed.data(), gates, hidden, cell); });
}

// Of what forward gave: gradients of the gates before their activations, and of the first state, which come in as zeros.
void behavior_lstm_backward(int64_t size, const int64_t* starts, const int64_t* lengths, const uint8_t* commit,
                            int64_t* from, const float* cell0, int64_t n_hidden, int64_t extra, int hard,
                            const float* weight, const float* active, const float* cell, const float* d_hidden,
                            const float* d_cell, float* d_gates, float* d_hidden0, float* d_cell0, int threads) {
    const Batch batch{size, starts, lengths, commit, from, nullptr, cell0};
    const Layer layer{n_hidden, extra, hard != 0};
    const std::vector<float> packed = packed_by_column(weight, layer);
    const Gradients gradients{d_hidden, d_cell, d_gates, d_hidden0, d_cell0};
    in_threads(batch, threads,
               [&](const Rows& rows) { backward_rows(batch, layer, rows, packed.data(), active, cell, gradients); });
}
}
