// Selection of the instruction set that the kernels use.
//
// Every *_kernels.cc is compiled once for each set. S3N_ISA names both the set and the namespace,
// so that code compiled for a wider set is never linked into a narrower one. Each set provides a
// table of function pointers, and S3N_SELECT takes the table of the active set.
#pragma once

#include "core/types.h"

#if defined(__x86_64__) || defined(_M_X64)
#define S3N_X86 1
#else
#define S3N_X86 0
#endif

namespace s3n {

enum class Isa { baseline, avx2, avx512 };

// The processor's widest set, unless the environment variable S3NET_KERNELS_ISA or set_isa()
// requests a narrower one.
Isa active_isa();
// Whether the active set is avx512 and this process may use the processor's tiles for products of
// bfloat16 (AMX).
bool active_tiles();
// Returns false and changes nothing if the processor lacks the set.
bool set_isa(const char* name);
const char* isa_name();

}  // namespace s3n

#if S3N_X86
#define S3N_DECLARE_TABLE(Type, name)              \
  namespace baseline { extern const Type name; }   \
  namespace avx2 { extern const Type name; }       \
  namespace avx512 { extern const Type name; }     \
  namespace amx { extern const Type name; }
// float64 is compiled for avx2 at most: it serves checks, and every install compiles the kernels.
#define S3N_SELECT(name, type)                                                              \
  (::s3n::active_isa() == ::s3n::Isa::baseline ? ::s3n::baseline::name                      \
   : ::s3n::active_isa() == ::s3n::Isa::avx2 || (type) == ::s3n::DType::f64 ? ::s3n::avx2::name \
                                                                           : ::s3n::avx512::name)
#else
#define S3N_DECLARE_TABLE(Type, name) \
  namespace baseline { extern const Type name; }
#define S3N_SELECT(name, type) ((void)(type), ::s3n::baseline::name)
#endif

// For kernels with matrix products: if `reduced`, use tiles of bfloat16 where available. float64
// is never reduced.
#if defined(S3N_TILES)
#define S3N_SELECT_PRODUCTS(name, type, reduced)                                \
  ((reduced) != 0 && (type) != ::s3n::DType::f64 && ::s3n::active_tiles()       \
       ? ::s3n::amx::name                                                       \
       : S3N_SELECT(name, type))
#else
#define S3N_SELECT_PRODUCTS(name, type, reduced) ((void)(reduced), S3N_SELECT(name, type))
#endif
