// Which instruction set the kernels run on.
//
// Every *_kernels.cc is compiled once for each set, with S3N_ISA naming both the set and the
// namespace, so that nothing compiled for a wider set can be linked into a narrower one. Each
// offers a table of function pointers, and S3N_SELECT takes the table of the active set.
#pragma once

#include "core/types.h"

#if defined(__x86_64__) || defined(_M_X64)
#define S3N_X86 1
#else
#define S3N_X86 0
#endif

namespace s3n {

enum class Isa { baseline, avx2, avx512 };

// The widest set this processor has, unless the environment variable S3NET_KERNELS_ISA or
// set_isa() asks for a narrower one.
Isa active_isa();
// Whether the active set is avx512 and the processor has tiles for products of bfloat16 (AMX),
// which the system lets this process use.
bool active_tiles();
// Returns false, and changes nothing, if the processor lacks the set.
bool set_isa(const char* name);
const char* isa_name();

}  // namespace s3n

#if S3N_X86
#define S3N_DECLARE_TABLE(Type, name)              \
  namespace baseline { extern const Type name; }   \
  namespace avx2 { extern const Type name; }       \
  namespace avx512 { extern const Type name; }     \
  namespace amx { extern const Type name; }
// float64 is compiled for avx2 at most.
#define S3N_SELECT(name, type)                                                              \
  (::s3n::active_isa() == ::s3n::Isa::baseline ? ::s3n::baseline::name                      \
   : ::s3n::active_isa() == ::s3n::Isa::avx2 || (type) == ::s3n::DType::f64 ? ::s3n::avx2::name \
                                                                           : ::s3n::avx512::name)
#else
#define S3N_DECLARE_TABLE(Type, name) \
  namespace baseline { extern const Type name; }
#define S3N_SELECT(name, type) ((void)(type), ::s3n::baseline::name)
#endif

// For kernels with matrix products: if `reduced`, by tiles of bfloat16 where there are any. float64
// is never reduced.
#if defined(S3N_TILES)
#define S3N_SELECT_PRODUCTS(name, type, reduced)                                \
  ((reduced) != 0 && (type) != ::s3n::DType::f64 && ::s3n::active_tiles()       \
       ? ::s3n::amx::name                                                       \
       : S3N_SELECT(name, type))
#else
#define S3N_SELECT_PRODUCTS(name, type, reduced) ((void)(reduced), S3N_SELECT(name, type))
#endif
