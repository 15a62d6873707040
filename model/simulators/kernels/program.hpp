// What the kernels run, as plain data: steps (a CNOT, if any, and the RY of its target) grouped into passes over the state.
//
// Bits are counted from the least significant of an amplitude's index. The lowest `lane_bits` of them lie inside a vector.
#pragma once

#include <cstdint>
#include <vector>

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
    const void *weights, *inputs, *states;  // states null: |0...0>
    void* saved;                            // final states as the kernels keep them; null in a forward pass: not kept
    void* values;                           // forward: [trials, rows, measured]
    const void* cotangent;                  // backward: of the values
    void *weight_gradient, *input_gradient, *state_gradient;  // backward; null where not wanted
    int threads;
};

struct Kernels {
    void (*forward_float)(const Program&, const Batch&);
    void (*backward_float)(const Program&, const Batch&);
    void (*forward_double)(const Program&, const Batch&);
    void (*backward_double)(const Program&, const Batch&);
    int vector_bytes;
};
