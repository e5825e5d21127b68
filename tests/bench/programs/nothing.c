/* What the kernel takes to run any program at all. */
int main(void)
{
	return 0;
}
