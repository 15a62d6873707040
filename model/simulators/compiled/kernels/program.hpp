// What the kernels run, as plain data: steps (a CNOT, if any, and the RY of its target) grouped into passes over the state.
//
// Bits are counted from the least significant of an amplitude's index. The lowest `lane_bits` of them lie inside a vector. Where ranks
// share a state, the bits from `qubits` on number the ranks: they may be controls and be measured, but are no targets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

// Bytes of state that, with as much of cotangent, a second-level cache holds: passes whose targets lie within are taken together.
constexpr std::size_t CACHED = 1 << 18;

struct Term {
    std::int32_t column;
    double scale;
};

struct Step {
    int control;  // bit, or -1
    int target;   // bit
    double offset;
    std::vector<Term> weights, inputs;  // the angle is offset + the sum of scale * column
};

// Steps that one sweep over the state applies while it holds the amplitudes in registers: up to three whose targets are vector
// bits, each controlled by nothing, by the target of the step before it (`chained`), or by a bit that is no target of the pass;
// or any number whose targets are lane bits.
struct Pass {
    bool on_lanes;
    std::vector<int> steps;
};

struct Program {
    int qubits, lane_bits;
    std::vector<Step> steps;
    std::vector<Pass> passes;
    std::vector<int> measured;       // bits
    std::vector<double> signs;       // of each measured value
    int weights, inputs;             // columns
};

// One batch: `trials` x `rows` of everything, in the layouts of the Simulator protocol, and what is to be computed of it.
struct Batch {
    std::int64_t trials, rows;
    const void *weights, *inputs, *states;  // states null: |0...0>; else [trials, rows, amplitudes], those that are left out 0
    void* saved;                            // final states as the kernels keep them; null in a forward pass: not kept
    void* values;                           // forward: [trials, rows, measured]
    const void* cotangent;                  // backward: of the values
    void *weight_gradient, *input_gradient, *state_gradient;  // backward; null where not wanted
    int threads;
    void* cotangents = nullptr;  // of the saved states, likewise; null in a backward pass that keeps its own
    std::uint64_t rank = 0;      // the bits from `qubits` on
    std::size_t amplitudes = 0;  // of the states and of their gradient
};

// A whole circuit forward and backward; or, where ranks share states, one stage of it between exchanges: `advance` takes the saved states
// through it, `measure` takes their values, `begin` makes their cotangents, `retreat` takes states and cotangents back.
struct Functions {
    void (*forward)(const Program&, const Batch&);
    void (*backward)(const Program&, const Batch&);
    void (*advance)(const Program&, const Batch&);
    void (*measure)(const Program&, const Batch&);
    void (*begin)(const Program&, const Batch&);
    void (*retreat)(const Program&, const Batch&);
};

struct Kernels {
    Functions in_float, in_double;
    int vector_bytes;
};
