// SLACK is how late, in nanoseconds, the kernel may wake Go's monitor.
#define SLACK 5000000
