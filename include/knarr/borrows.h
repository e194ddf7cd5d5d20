// KNARR_BORROWS after a member function's parameters says that its result borrows from the object:
// clang warns where the object is a temporary and the result outlives it.
#pragma once

#if defined(__clang__)
#define KNARR_BORROWS [[clang::lifetimebound]]
#else
#define KNARR_BORROWS
#endif
