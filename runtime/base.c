#include "runtime/base.h"
