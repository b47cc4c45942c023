// A set of squares, three words of 27 bits seen from outside (rank_bits.h). CUDA code and host code
// each have the form that suits them. Nothing that holds a Bitboard crosses from one to the other:
// words do. One library has inline functions of both, so what differs by the form but does not show
// it in the types of its arguments stands in the inline namespace KEISEI_BITBOARD_FORM: every
// struct that holds a Bitboard, and every function that works with one inside. Both forms have
//
//   of(w0, w1, w2)  none()  all()  square(s)       making one
//   word(i)  store(uint32_t[3])                    its words
//   test(s)  any()  count()  ==
//   lowest()  pop_lowest()                         of a set that is not empty
//   & | ^ ~, and & with 27 bits for every word     pick whole ranks
//   without(a, b)                                  the members of a that are not in b
//   turned(a)                                      seen from the other side of the board
//   whole_files(a)                                 all nine squares of every file with a member
//   shifted<delta, gone>(a)                        every square moved; the ranks `gone` cleared
//   slide<direction>(sliders, empty)               what sliders attack along one ray direction:
//                                                  through `empty`, with the first square not in it
//   sweep<direction>(sliders, empty)               half of a slide; the sweep of a union is the
//                                                  union of the sweeps
//   land<direction>(sweep, steppers, mask)         the other half, with what steppers step to, as
//                                                  far as it is in `mask`
//   in_sight(king, forward, orthogonal, diagonal)  whether a slider stands on a line with the king,
//                                                  whatever is between; or always true
//   kTestsPay                                      whether a test that saves work pays; on the GPU
//                                                  some lane of a warp needs the work anyway
#pragma once

// KEISEI_BITBOARD_WORDS gives the host the GPU's form, for tests.
#if defined(__CUDACC__) || defined(KEISEI_BITBOARD_WORDS)
#include "shogi/bitboard_words.h"
#define KEISEI_BITBOARD_FORM bitboard_words
#else
#include "shogi/bitboard_vector.h"
#define KEISEI_BITBOARD_FORM bitboard_vector
#endif
