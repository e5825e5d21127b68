// Package nsenter starts the executor, the C program that carries out a plan
// inside new namespaces, and speaks with it until it has become the
// container's process.
package nsenter
