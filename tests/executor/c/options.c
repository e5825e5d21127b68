/*
 * The sanitizers' options for an executor that carries out a true plan: it has
 * no environment to take them from, and leak checks would need ptrace(2), which
 * the plan gives up.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0:abort_on_error=1:handle_segv=1:allocator_may_return_null=1";
}
