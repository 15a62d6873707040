// Runs a program over a batch, one block of rows at a time: forward to the measured values, backward by the adjoint method; or one stage
// of a circuit on states that ranks share.
//
// Compiled once per vector width (VECTOR_BYTES), each time under a name of its own (KERNELS). A block is R rows of one trial; every
// number of a row depends on the rows of its block alone, so neither threads nor other trials of the batch can change it.
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "schedule.hpp"

namespace {

constexpr std::size_t CHUNK = 256;  // vectors summed before their sum is added to that of the others

// A pass over high bits touches addresses that are multiples of 4 KiB apart, which share one set of a first-level cache. The cotangent
// lies half of that away from its state, or the two together would turn each other out: twice the time at 10 qubits.
constexpr std::size_t APART = 2048 / VECTOR_BYTES;

template <class T> std::int64_t rows_per_block(const Program& program) { return Lanes<T>::count >> program.lane_bits; }

template <class T> std::int64_t blocks_per_trial(const Program& program, const Batch& batch) {
    return (batch.rows + rows_per_block<T>(program) - 1) / rows_per_block<T>(program);
}

constexpr std::align_val_t ALIGNED{VECTOR_BYTES};  // any less, and every vector could lie in two cache lines

struct Release {
    void operator()(void* memory) const { ::operator delete(memory, ALIGNED); }
};

// One thread's work on one block.
template <class T> class Block {
    using V = Vector<T>;
    static constexpr int L = Lanes<T>::count;

  public:
    Block(const Program& program, const Batch& batch)
        : program(program), batch(batch), schedule(program), rows(int(rows_per_block<T>(program))),
          vectors(std::size_t(1) << (program.qubits - program.lane_bits)), coefficient(program.steps.size()),
          gradients(program.steps.size()), memory(::operator new((2 * vectors + APART) * sizeof(V), ALIGNED)),
          own_state(static_cast<V*>(memory.get()) + vectors + APART), other(static_cast<V*>(memory.get())), state(own_state) {}

    void forward(std::int64_t trial, std::int64_t block);
    void backward(std::int64_t trial, std::int64_t block, T* weight_gradient);
    void advance(std::int64_t trial, std::int64_t block);
    void measure(std::int64_t trial, std::int64_t block) { find(trial, block), measure(all<T>(1)); }
    void begin(std::int64_t trial, std::int64_t block) { find(trial, block), begin_backward(state); }
    void retreat(std::int64_t trial, std::int64_t block, T* weight_gradient);

  private:
    const Program& program;
    const Batch& batch;
    Schedule<T> schedule;
    const int rows;
    const std::size_t vectors;
    std::vector<Coefficients<T>> coefficient;
    std::vector<Turn<T>> turns;
    std::vector<V> gradients;
    std::unique_ptr<void, Release> memory;  // not set to zero, and not touched where it is not used
    V* own_state;
    V* other;  // the cotangent; forward, squares of amplitudes
    V* state;
    std::int64_t first = 0;  // row of the batch
    int present = 0;         // rows of the block that exist

    void find(std::int64_t trial, std::int64_t block) {
        first = trial * batch.rows + block * rows;
        present = int(std::min<std::int64_t>(rows, batch.rows - block * rows));
        const std::size_t place = (trial * blocks_per_trial<T>(program, batch) + block) * vectors;  // in the order of trials and rows
        if (batch.saved) state = static_cast<V*>(batch.saved) + place;
        if (batch.cotangents) other = static_cast<V*>(batch.cotangents) + place;
    }
    void open(std::int64_t trial, std::int64_t block) {
        find(trial, block);
        take_angles<T>(program, static_cast<const T*>(batch.weights) + trial * program.weights,
                       static_cast<const T*>(batch.inputs) + first * program.inputs, rows, present, coefficient.data());
    }
    void clear() {
        for (std::size_t i = 0; i < vectors; ++i) state[i] = V{};
    }
    void load_states();
    void store_states(const V* from, T* to) const;
    void measure(V scale);
    void begin_backward(V* copy);
    void take_gradients(T* weight_gradient);
    // Has the last turn multiply by what the turns leave out, unless it does so anyway.
    void settle(V scale) {
        if (!turns.empty() && !turns.back().rescale) turns.back().rescale = true, turns.back().scale = scale;
    }
    V over_amplitudes(V x) const;
    V sign_of(int bit) const { return lanes_with<T>(rows << bit) ? all<T>(-1) : all<T>(1); }
    T sign_of_rank(int bit) const { return batch.rank >> (bit - program.qubits) & 1 ? T(-1) : T(1); }
};

template <class T> void Block<T>::load_states() {
    if (!batch.states) {
        clear();
        for (int row = 0; row < rows; ++row) state[0][row] = 1;
        return;
    }
    const std::size_t length = batch.amplitudes;
    const T* from = static_cast<const T*>(batch.states) + first * length;
    T* to = reinterpret_cast<T*>(state);
    if (present < rows || length < std::size_t(1) << program.qubits) clear();
    for (int row = 0; row < present; ++row)
        for (std::size_t i = 0; i < length; ++i) to[i * rows + row] = from[row * length + i];
}

template <class T> void Block<T>::store_states(const V* from, T* to) const {
    const std::size_t length = batch.amplitudes;
    const T* lanes = reinterpret_cast<const T*>(from);
    for (int row = 0; row < present; ++row)
        for (std::size_t i = 0; i < length; ++i) to[(first + row) * length + i] = lanes[i * rows + row];
}

// Adds up what lies in lanes of the same row.
template <class T> Vector<T> Block<T>::over_amplitudes(V x) const {
    for (int lane = rows; lane < L; ++lane) x[lane % rows] += x[lane];
    return x;
}

// Multiplies the state by what its steps left out, and takes <Z> of every measured qubit: for each bit from the highest down, the
// difference of the halves of |amplitude|^2; then the halves are added up for the bits below.
template <class T> void Block<T>::measure(V scale) {
    T* values = static_cast<T*>(batch.values) + first * program.measured.size();
    auto tell = [&](int bit, V value) {
        value = over_amplitudes(value);
        for (std::size_t m = 0; m < program.measured.size(); ++m)
            if (program.measured[m] == bit)
                for (int row = 0; row < present; ++row) values[row * program.measured.size() + m] = T(program.signs[m]) * value[row];
    };
    // The first halving reads the state, the others what it left in `other`.
    auto halve = [&](std::size_t half, bool below, auto low, auto high) {
        V difference{};
        for (std::size_t from = 0; from < half; from += CHUNK) {  // sums of sums: a plain one of 2^19 terms loses float32's last digits
            V sum{};
            for (std::size_t i = from; i < std::min(half, from + CHUNK); ++i) {
                const V one = low(i), two = high(i + half);
                sum += one - two;
                if (below) other[i] = one + two;
            }
            difference += sum;
        }
        return difference;
    };
    auto square = [&](std::size_t i) { return state[i] *= scale, state[i] * state[i]; };
    auto found = [&](std::size_t i) { return other[i]; };
    int lowest = program.qubits;  // a bit that numbers ranks asks for the norm: all must be added up
    for (int bit : program.measured) lowest = std::min(lowest, bit < program.qubits ? bit : -1);
    if (vectors == 1) other[0] = square(0);
    for (int bit = program.qubits - 1; bit >= program.lane_bits; --bit) {
        const std::size_t half = std::size_t(1) << (bit - program.lane_bits);
        const bool below = lowest < bit, whole = 2 * half == vectors;
        tell(bit, whole ? halve(half, below, square, square) : halve(half, below, found, found));
        if (!below) return;
    }
    for (int bit = 0; bit < program.lane_bits; ++bit) tell(bit, sign_of(bit) * other[0]);
    for (int bit : program.measured)
        if (bit >= program.qubits) tell(bit, sign_of_rank(bit) * other[0]);
}

// Copies the saved state, which may be asked for again, and makes the cotangent of the final state: 2 D state, D the sum of the values'
// cotangents times their Z.
template <class T> void Block<T>::begin_backward(V* copy) {
    const T* given = static_cast<const T*>(batch.cotangent) + first * program.measured.size();
    std::vector<V> of_bit(program.qubits);
    V in_lanes{};
    for (std::size_t m = 0; m < program.measured.size(); ++m) {
        const int bit = program.measured[m];
        for (int lane = 0; lane < L; ++lane) {
            if (lane % rows >= present) continue;
            const T value = T(2 * program.signs[m]) * given[(lane % rows) * program.measured.size() + m];
            if (bit < program.qubits) of_bit[bit][lane] += value;
            else in_lanes[lane] += sign_of_rank(bit) * value;
        }
    }
    for (int bit = 0; bit < program.lane_bits; ++bit) in_lanes += sign_of(bit) * of_bit[bit];
    const V* of_vector_bit = of_bit.data() + program.lane_bits;
    const int vector_bits = program.qubits - program.lane_bits, inner = std::min(vector_bits, 6);
    V low[64];  // of the lowest bits of a vector's index, built up bit by bit; of the others once for all of these
    low[0] = in_lanes;
    for (int bit = 0; bit < inner; ++bit)
        for (int i = 0; i < 1 << bit; ++i) low[i + (1 << bit)] = low[i] - of_vector_bit[bit], low[i] += of_vector_bit[bit];
    for (std::size_t from = 0; from < vectors; from += std::size_t(1) << inner) {
        V high{};
        for (int bit = inner; bit < vector_bits; ++bit) high += (from >> bit & 1) ? -of_vector_bit[bit] : of_vector_bit[bit];
        for (std::size_t i = 0; i < std::size_t(1) << inner; ++i) {
            const V amplitude = state[from + i];
            copy[from + i] = amplitude;
            other[from + i] = (high + low[i]) * amplitude;
        }
    }
    state = copy;
}

template <class T> void Block<T>::forward(std::int64_t trial, std::int64_t block) {
    open(trial, block);
    load_states();
    const V scale = schedule.arrange(coefficient.data(), false, turns);
    schedule.run(turns, batch.rank, state, nullptr);
    measure(scale);
}

template <class T> void Block<T>::advance(std::int64_t trial, std::int64_t block) {
    open(trial, block);
    settle(schedule.arrange(coefficient.data(), false, turns));
    schedule.run(turns, batch.rank, state, nullptr);
}

template <class T> void Block<T>::backward(std::int64_t trial, std::int64_t block, T* weight_gradient) {
    open(trial, block);
    begin_backward(own_state);
    const V scale = schedule.arrange(coefficient.data(), true, turns);
    schedule.run(turns, batch.rank, state, other);
    take_gradients(weight_gradient);
    if (batch.state_gradient) {
        for (std::size_t i = 0; i < vectors; ++i) other[i] *= scale;
        store_states(other, static_cast<T*>(batch.state_gradient));
    }
}

template <class T> void Block<T>::retreat(std::int64_t trial, std::int64_t block, T* weight_gradient) {
    open(trial, block);
    settle(schedule.arrange(coefficient.data(), true, turns));
    schedule.run(turns, batch.rank, state, other);
    take_gradients(weight_gradient);
}

// From the gradients of turns to those of steps, and of what their angles are made of.
template <class T> void Block<T>::take_gradients(T* weight_gradient) {
    for (V& gradient : gradients) gradient = V{};
    schedule.gather(turns, coefficient.data(), gradients.data());
    T* input_gradient = static_cast<T*>(batch.input_gradient);
    for (std::size_t s = 0; s < program.steps.size(); ++s) {
        const Step& step = program.steps[s];
        const V of_rows = T(0.5) * over_amplitudes(gradients[s]);
        T sum = 0;
        for (int row = 0; row < present; ++row) sum += of_rows[row];
        for (const Term& term : step.weights) weight_gradient[term.column] += T(term.scale) * sum;
        if (input_gradient)
            for (const Term& term : step.inputs)
                for (int row = 0; row < present; ++row)
                    input_gradient[(first + row) * program.inputs + term.column] += T(term.scale) * of_rows[row];
    }
}

// Deals the blocks out to threads; which thread takes a block has no influence on its numbers. What one of them throws, for want of
// memory say, is thrown again when all have ended.
template <class T, class Work> void over_blocks(const Program& program, const Batch& batch, Work work) {
    const std::int64_t per_trial = blocks_per_trial<T>(program, batch);
    const std::int64_t items = batch.trials * per_trial;
    std::atomic<std::int64_t> next{0};
    std::exception_ptr failure;
    std::mutex failing;
    auto serve = [&] {
        try {
            Block<T> block(program, batch);
            for (std::int64_t item; (item = next++) < items;) work(block, item / per_trial, item % per_trial, item);
        } catch (...) {
            next = items;
            const std::lock_guard lock(failing);
            failure = std::current_exception();
        }
    };
    const std::int64_t helpers = std::max<std::int64_t>(std::min<std::int64_t>(batch.threads, items) - 1, 0);
    std::vector<std::thread> threads;
    threads.reserve(helpers);
    try {
        for (std::int64_t helper = 0; helper < helpers; ++helper) threads.emplace_back(serve);
    } catch (const std::system_error&) {  // no more threads are to be had: those that are there do the work
    }
    serve();
    for (auto& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
}

template <class T, void (Block<T>::*Work)(std::int64_t, std::int64_t)> void over_rows(const Program& program, const Batch& batch) {
    over_blocks<T>(program, batch, [](Block<T>& block, std::int64_t trial, std::int64_t b, std::int64_t) { (block.*Work)(trial, b); });
}

template <class T, void (Block<T>::*Work)(std::int64_t, std::int64_t, T*)> void with_gradient(const Program& program, const Batch& batch) {
    const std::int64_t per_trial = blocks_per_trial<T>(program, batch);
    std::vector<T> parts(batch.trials * per_trial * program.weights);  // each block's own, added up in their order: no race, no chance
    over_blocks<T>(program, batch, [&](Block<T>& block, std::int64_t trial, std::int64_t b, std::int64_t item) {
        (block.*Work)(trial, b, parts.data() + item * program.weights);
    });
    T* gradient = static_cast<T*>(batch.weight_gradient);
    for (std::int64_t item = 0; item < batch.trials * per_trial; ++item)
        for (int w = 0; w < program.weights; ++w) gradient[item / per_trial * program.weights + w] += parts[item * program.weights + w];
}

template <class T> constexpr Functions functions{
    &over_rows<T, &Block<T>::forward>, &with_gradient<T, &Block<T>::backward>, &over_rows<T, &Block<T>::advance>,
    &over_rows<T, &Block<T>::measure>, &over_rows<T, &Block<T>::begin>, &with_gradient<T, &Block<T>::retreat>};

}  // namespace

extern const Kernels KERNELS;
const Kernels KERNELS{functions<float>, functions<double>, VECTOR_BYTES};
