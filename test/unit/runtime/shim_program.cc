#include "runtime/shim.h"

int main(int argc, char** argv) { return knarr::runtime::shim_main(argc, argv); }
