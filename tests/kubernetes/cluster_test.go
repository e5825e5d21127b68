// Package kubernetes shows berth under a real Kubernetes: etcd and containerd from the distribution, an API server, a
// kubelet and kubectl built from Kubernetes' own source, and the RuntimeClass that docs/engines.md writes. A cluster of
// one node lives in a network and a mount namespace of its own and below a cgroup of its own, so that the host is left
// as it was.
package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/tests/manual"
)

const (
	// startLimit bounds the start of one daemon, which is slow on a machine that is busy.
	startLimit = 3 * time.Minute
	// address is the node's own, on an interface that only its network namespace has.
	address = "10.111.0.2"
	// token is what kubectl and the kubelet show the API server.
	token = "berth-test"
	// image holds busybox; it is also the image of a pod's sandbox.
	image = "localhost/box:1"
)

// cluster is a node with its control plane.
type cluster struct {
	// folder holds what is configured and logged, programs what suite.mk builds.
	folder, programs string
	// cgroup is the kubelet's root in each hierarchy: the pods' cgroups are below it.
	cgroup string
	// berth is the path of the runtime under test.
	berth string
	// inside is what enters the node's namespaces.
	inside []string
	// containerd and kubelet are those of the node's daemons that a test starts anew.
	containerd, kubelet *program
}

// newCluster starts a cluster, whose node is ready.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a kubelet needs root")
	}
	for _, program := range []string{"etcd", "containerd", "ctr", "umoci", "busybox", "ip", "iptables", "nsenter", "runc", "script"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: scripts/deps kubernetes installs it", program)
		}
	}
	folder, err := os.MkdirTemp("", "bk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	c := &cluster{folder: folder, cgroup: filepath.Base(folder), berth: built(t, "bin/berth"), programs: built(t, "build/kubernetes")}
	makeCgroups(t, c.cgroup)
	c.newNode(t)
	c.startContainerd(t)
	c.startControlPlane(t)
	c.startKubelet(t)
	return c
}

// built is the path of something that make builds.
func built(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../..", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("make test-kubernetes builds it: %v", err)
	}
	return path
}

// in is the path of something in the cluster's folder.
func (c *cluster) in(name string) string { return filepath.Join(c.folder, name) }

// write writes a file in the cluster's folder and gives its path.
func (c *cluster) write(t *testing.T, name, text string) string {
	t.Helper()
	path := c.in(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startContainerd starts containerd as docs/engines.md sets it up where pods choose: without default_runtime_name, and
// with runc beside berth, so that only a pod's RuntimeClass leads to berth.
func (c *cluster) startContainerd(t *testing.T) {
	t.Helper()
	version, rest, _ := strings.Cut(manual.EnginesBlock(t, "/etc/containerd/config.toml", c.berth)+manual.EnginesBlock(t, "runtimes.runc", c.berth), "\n")
	for _, change := range [][2]string{
		{"  default_runtime_name = \"berth\"\n", ""},
		{"SystemdCgroup = true", "SystemdCgroup = false"}, // the kubelet's driver is cgroupfs: systemd may not be process 1 here
	} {
		if !strings.Contains(rest, change[0]) {
			t.Fatalf("docs/engines.md's config.toml has no %q", change[0])
		}
		rest = strings.ReplaceAll(rest, change[0], change[1])
	}
	// A nested machine may not lower the score by which the kernel chooses whom to end.
	own := fmt.Sprintf(`[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
`, image, c.in("cni"), c.in("opt"))
	c.write(t, "cni/10-bridge.conflist", `{"cniVersion": "0.4.0", "name": "pods", "plugins": [
	{"type": "bridge", "bridge": "cni0", "isGateway": true,
	 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.112.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}`)
	c.containerd = c.daemon(t, "containerd", "--config", c.write(t, "config.toml", version+"\n"+own+rest))
	waitFor(t, "containerd", startLimit, func() bool { return c.call(t, "ctr", "version").code == 0 })
	c.makeImage(t)
}

// makeImage gives containerd the image of the pods.
func (c *cluster) makeImage(t *testing.T) {
	t.Helper()
	script := `set -e
		cd "$1"
		mkdir -p box/bin box/etc box/tmp box/proc box/sys box/dev
		chmod 1777 box/tmp
		install -m 0755 "$(command -v busybox)" box/bin/busybox
		for a in $(busybox --list | grep -vx busybox); do ln -sf busybox box/bin/"$a"; done
		printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' > box/etc/passwd
		printf 'root:x:0:\nuser:x:1000:\n' > box/etc/group
		umoci init --layout layout
		umoci new --image layout:1
		umoci insert --image layout:1 box /
		umoci config --image layout:1 --config.env PATH=/bin --config.cmd sleep --config.cmd 86400
		tar -C layout -cf box.tar .`
	if out, err := exec.Command("sh", "-c", script, "sh", c.folder).CombinedOutput(); err != nil {
		t.Fatalf("make the image: %v\n%s", err, out)
	}
	c.ok(t, "ctr", "--namespace", "k8s.io", "image", "import", "--base-name", strings.TrimSuffix(image, ":1"), c.in("box.tar"))
}

// startControlPlane starts etcd and the API server, and makes what a controller would have made: the account of the
// namespace, whose token each pod gets.
func (c *cluster) startControlPlane(t *testing.T) {
	t.Helper()
	c.daemon(t, "etcd", "--data-dir", "/var/lib/etcd", "--unsafe-no-fsync")
	key := c.write(t, "accounts.key", newKey(t))
	c.daemon(t, filepath.Join(c.programs, "kube-apiserver"),
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address="+address,
		"--service-cluster-ip-range=10.113.0.0/24",
		"--cert-dir="+c.in("apiserver"), // it signs its certificate itself
		"--allow-privileged=true",
		"--authorization-mode=AlwaysAllow",
		"--kubelet-preferred-address-types=InternalIP", // nobody knows the node's name
		"--token-auth-file="+c.write(t, "tokens.csv", token+",admin,admin,system:masters\n"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file="+key,
		"--service-account-key-file="+key,
		"--feature-gates=InPlacePodVerticalScaling=true")
	authority := c.in("apiserver/apiserver.crt")
	c.write(t, "kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: admin}}]
clusters: [{name: here, cluster: {server: "https://%s:6443", certificate-authority: %q}}]
users: [{name: admin, user: {token: %q}}]
`, address, authority, token))
	waitFor(t, "the API server", startLimit, func() bool { return c.kubectl(t, "get", "--raw", "/readyz").code == 0 })
	waitFor(t, "the default namespace", startLimit, func() bool { return c.kubectl(t, "get", "namespace", "default").code == 0 })
	c.must(t, "create", "serviceaccount", "default")
	c.must(t, "create", "configmap", "kube-root-ca.crt", "--from-file=ca.crt="+authority)
}

// newKey makes the key that signs the accounts' tokens.
func newKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// startKubelet starts the kubelet and waits for its node.
func (c *cluster) startKubelet(t *testing.T) {
	t.Helper()
	// Nothing is taken away when the disk of a busy machine fills: neither pods nor the image that nobody can pull.
	config := fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: /%s
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
evictionHard: {memory.available: 50Mi}
failSwapOn: false
featureGates: {InPlacePodVerticalScaling: true}
imageGCHighThresholdPercent: 100
resolvConf: %q
volumePluginDir: %q
`, c.cgroup, c.write(t, "resolv.conf", "nameserver 192.0.2.1\n"), c.in("plugins"))
	c.kubelet = c.daemon(t, filepath.Join(c.programs, "kubelet"), "--config="+c.write(t, "kubelet.yaml", config),
		"--kubeconfig="+c.in("kubeconfig"), "--hostname-override=node", "--node-ip="+address)
	waitFor(t, "the node", startLimit, func() bool {
		return strings.Contains(c.kubectl(t, "get", "node", "node", "--no-headers").stdout, " Ready ")
	})
}

// kubectl calls the cluster's client.
func (c *cluster) kubectl(t *testing.T, args ...string) result {
	t.Helper()
	return c.kubectlIn(t, "", args...)
}

// kubectlIn calls the client with a text on its standard input.
func (c *cluster) kubectlIn(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	call := []string{filepath.Join(c.programs, "kubectl"), "--kubeconfig=" + c.in("kubeconfig"), "--cache-dir=" + c.in("cache")}
	return c.callIn(t, stdin, append(call, args...)...)
}

// must calls the client, which must succeed, and gives its output.
func (c *cluster) must(t *testing.T, args ...string) string {
	t.Helper()
	r := c.kubectl(t, args...)
	if r.code != 0 {
		t.Fatalf("kubectl %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}
