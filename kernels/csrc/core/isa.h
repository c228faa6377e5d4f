// Which instruction set the kernels run on.
//
// Every *_kernels.cc is compiled once for each set, with S3N_ISA naming both the set and the
// namespace, so that nothing compiled for a wider set can be linked into a narrower one. Each
// offers a table of function pointers, and select() takes the table of the active set.
#pragma once

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
// Whether the active set is avx512 and the processor multiplies bfloat16 pairs too.
bool active_bf16();
// Returns false, and changes nothing, if the processor lacks the set.
bool set_isa(const char* name);
const char* isa_name();

}  // namespace s3n

#if S3N_X86
#define S3N_DECLARE_TABLE(Type, name)              \
  namespace baseline { extern const Type name; }   \
  namespace avx2 { extern const Type name; }       \
  namespace avx512 { extern const Type name; }
#define S3N_SELECT(name)                                                   \
  (::s3n::active_isa() == ::s3n::Isa::avx512 ? ::s3n::avx512::name         \
   : ::s3n::active_isa() == ::s3n::Isa::avx2 ? ::s3n::avx2::name           \
                                             : ::s3n::baseline::name)
#else
#define S3N_DECLARE_TABLE(Type, name) \
  namespace baseline { extern const Type name; }
#define S3N_SELECT(name) (::s3n::baseline::name)
#endif
