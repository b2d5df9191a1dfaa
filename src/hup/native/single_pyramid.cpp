// The pyramid's steps for one user and one item run, all levels in one call; the twin is hup.nn.single.SinglePyramid.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "products.hpp"
#include "simd.hpp"
#include "trees.hpp"

namespace {

using namespace hup;

// A table of rows of one size, of which a code beyond them takes the mean.
struct Rows {
    const float* values;
    int64_t rows, size;

    void look_up(int64_t row, float* to) const {
        if (row >= 0 && row < rows) {
            std::copy_n(values + row * size, size, to);
            return;
        }
        std::fill_n(to, size, 0.0f);
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t i = 0; i < size; ++i) to[i] += values[r * size + i] / float(rows);
    }
};

// What a level reads: items, then category_1 ... category_K; see hup.nn.tables.Inputs.
struct Reads {
    const Tree* tables;
    int64_t n_tables;
    Rows behavior, interval, dwell;
    int64_t micro_signals;
};

// A Behavior-LSTM (Eq. 4); gates of time and behavior may be absent (null).
struct Layer {
    int64_t hidden, input, interval, behavior, hard_gates;
    const float *weight_input, *weight_hidden, *weight_interval, *weight_behavior, *bias;
};

struct Level {
    Reads reads;
    Layer layer;
    int64_t table;     // of `reads` that its own vectors are in
    int64_t is_micro;  // it steps over every event of the run, others over the run
    int64_t layout;    // place of its dwell, and of whether it ends
    int64_t lender;    // number of the level whose steps it has
    const float *head, *head_bias;  // from the last step to the profile
    int64_t profile, head_tanh;     // size of the profile
};

struct Run {
    int64_t item;
    const int64_t* path;  // coarsest first
    int64_t n_events;
    const int64_t *behavior, *interval, *dwell;
};

Floats some(const float* from, int64_t n) { return n >= WIDTH ? load(from) : load(from, int(n)); }
void put(float* to, Floats x, int64_t n) { n >= WIDTH ? store(to, x) : store(to, x, int(n)); }

// One step: `projected` is what the input says of all gates, `scale` the product of the time and behavior gates.
void move(const Layer& layer, const float* projected, const float* scale, const float* hidden, const float* cell,
          float* to_hidden, float* to_cell) {
    const int64_t size = layer.hidden;
    thread_local std::vector<float> moved;
    moved.assign(projected, projected + 4 * size);
    add_product(layer.weight_hidden, 4 * size, size, size, hidden, moved.data());
    const auto gate = layer.hard_gates ? hard_sigmoid : sigmoid;
    for (int64_t i = 0; i < size; i += WIDTH) {
        const int64_t n = size - i;
        const auto part = [&](int64_t number) { return some(moved.data() + number * size + i, n); };
        const Floats update = gate(part(0)) * tanh(part(2)) * some(scale + i, n);
        const Floats now = gate(part(1)) * some(cell + i, n) + update;
        put(to_cell + i, now, n);
        put(to_hidden + i, gate(part(3)) * tanh(now), n);
    }
}

// Multiplies `scale` by the gate whose part of the input's projection begins at `projected`.
void open_gate(const Layer& layer, float* projected, const float* weight, int64_t columns, const float* signal,
               float* scale) {
    add_product(weight, layer.hidden, columns, columns, signal, projected);
    const auto gate = layer.hard_gates ? hard_sigmoid : sigmoid;
    for (int64_t i = 0; i < layer.hidden; i += WIDTH) {
        const int64_t n = layer.hidden - i;
        put(scale + i, some(scale + i, n) * gate(some(projected + i, n)), n);
    }
}

// Steps of one level over the run, into rows of `to_hidden` and `to_cell`.
void step(const Level& level, const Run& run, const float* hidden, const float* cell, const float* below,
          float* to_hidden, float* to_cell) {
    const Layer& layer = level.layer;
    const Reads& reads = level.reads;
    const int64_t size = layer.hidden, dwell = run.dwell[level.layout];
    const int64_t width = size * (4 + (layer.weight_interval != nullptr) + (layer.weight_behavior != nullptr));
    thread_local std::vector<float> x, of_run, projected, scale, signal, zeros;
    zeros.assign(size, 0.0f);
    if (!hidden) hidden = cell = zeros.data();

    // What the whole run has in common is multiplied once.
    x.resize(layer.input);
    int64_t shared = 0;
    const auto read = [&](int64_t k) {
        reads.tables[k].look_up(k ? run.path[k - 1] : run.item, run.path, x.data() + shared);
        shared += reads.tables[k].size;
    };
    if (level.is_micro)
        for (int64_t k = 0; k < reads.n_tables; ++k) read(k);
    else
        read(level.table);
    if (!level.is_micro && shared < layer.input) {
        std::copy_n(below, size, x.data() + shared);
        shared += size;
    }
    of_run.assign(layer.bias, layer.bias + width);
    add_product(layer.weight_input, width, shared, layer.input, x.data(), of_run.data());

    const int64_t steps = level.is_micro ? run.n_events : 1;
    for (int64_t at = 0; at < steps; ++at) {
        projected = of_run;
        const int64_t event = level.is_micro ? at : run.n_events - 1;
        signal.resize(reads.interval.size + std::max(reads.behavior.size, reads.dwell.size));
        float *of_interval = signal.data(), *own = of_interval + reads.interval.size;
        reads.interval.look_up(run.interval[event], of_interval);
        if (level.is_micro)
            reads.behavior.look_up(run.behavior[event], own);
        else
            reads.dwell.look_up(dwell, own);
        if (level.is_micro && reads.micro_signals) {
            float* tail = x.data() + shared;
            std::copy_n(own, reads.behavior.size, tail);
            reads.dwell.look_up(dwell, tail + reads.behavior.size);
            std::copy_n(of_interval, reads.interval.size, tail + reads.behavior.size + reads.dwell.size);
            add_product(layer.weight_input + shared, width, layer.input - shared, layer.input, tail, projected.data());
        }
        scale.assign(size, 1.0f);
        float* gate = projected.data() + 4 * size;
        if (layer.weight_interval) {
            open_gate(layer, gate, layer.weight_interval, layer.interval, of_interval, scale.data());
            gate += size;
        }
        if (layer.weight_behavior) open_gate(layer, gate, layer.weight_behavior, layer.behavior, own, scale.data());
        move(layer, projected.data(), scale.data(), hidden, cell, to_hidden, to_cell);
        hidden = to_hidden;
        cell = to_cell;
        to_hidden += size;
        to_cell += size;
    }
}

}  // namespace

// Steps of all levels that end (all where `ended` is null). `hidden` and `cell` have the state of every level before,
// null = none yet; the new ones go to the rows of `to_hidden` and `to_cell` that begin at `rows`. Where `profiles` is
// not null, all levels' profiles after these steps go there, one behind the other.
extern "C" void hup_pyramid_steps(const Level* levels, int64_t n_levels, const Run* run, const int64_t* ended,
                                  const float* const* hidden, const float* const* cell, const int64_t* rows,
                                  float* to_hidden, float* to_cell, float* profiles) {
    const float* below = nullptr;
    for (int64_t number = 0; number < n_levels; ++number) {
        const Level& level = levels[number];
        const int64_t lent = level.lender, size = levels[lent].layer.hidden;
        if (lent == number) {
            if (ended && !ended[level.layout]) continue;
            float* first = to_hidden + rows[number] * size;
            step(level, *run, hidden[number], cell[number], below, first, to_cell + rows[number] * size);
        }
        const int64_t last = rows[lent] + (levels[lent].is_micro ? run->n_events - 1 : 0);
        below = to_hidden + last * size;
        if (!profiles) continue;
        std::copy_n(level.head_bias, level.profile, profiles);
        add_product(level.head, level.profile, size, size, below, profiles);
        for (int64_t i = 0; level.head_tanh && i < level.profile; ++i) profiles[i] = std::tanh(profiles[i]);
        profiles += level.profile;
    }
}
