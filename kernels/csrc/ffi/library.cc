// Functions that Python calls directly: queries about the library, no kernels.
#include <cstdint>

#include "core/isa.h"
#include "core/scratch.h"
#include "ffi/call.h"

// Increase with every change of a handler's operands, results or attributes.
S3N_EXPORT int s3n_version() { return 4; }
S3N_EXPORT const char* s3n_isa() { return s3n::isa_name(); }
S3N_EXPORT int s3n_tiles() { return s3n::active_tiles(); }
S3N_EXPORT int s3n_set_isa(const char* name) { return s3n::set_isa(name); }
// For tests of failed allocations: see core/scratch.h.
S3N_EXPORT void s3n_limit_scratch(int64_t bytes) { s3n::limit_scratch(static_cast<size_t>(bytes)); }
