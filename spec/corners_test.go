package spec

import "testing"

// The corners where decoders differ, each written down: documents to take and
// documents to refuse.
var cornersTaken = []string{
	`{}`,
	" \t\r\n{ } \n",
	`{"process":null,"root":null,"mounts":null,"annotations":null,"linux":null}`,
	`{"process":{"user":null,"args":null,"env":[null,"a"],"rlimits":[null],"terminal":null,"cwd":null}}`,
	`{"process":{"args":[]}}`,
	`{"annotations":{}}`,
	`{"annotations":{"a":null}}`,
	`{"linux":{"timeOffsets":{"monotonic":null},"netDevices":{"eth0":null}}}`,
	// Names in another case, also with letters that fold to ASCII ones.
	`{"OCIVERSION":"1.0.0","Hostname":"a","HOOKS":{"preStart":[{"PATH":"/a"}]}}`,
	"{\"ho\u017ftname\":\"a\",\"hoo\u212As\":{\"poststop\":[{\"path\":\"/x\"}]}}",
	`{"hostname":"exact","HOSTNAME":"folded"}`,
	`{"HOSTNAME":"folded","hostname":"exact"}`,
	`{"host\u006eame":"an escape in a name"}`,
	// Names given twice: laid over each other, elements too.
	`{"root":{"path":"a","readonly":true},"root":{"path":"b"}}`,
	`{"root":{"path":"a"},"root":null,"root":{"readonly":true}}`,
	`{"mounts":[{"destination":"/a","options":["ro","bind"]},{"destination":"/b"}],"mounts":[{"source":"c"}]}`,
	`{"mounts":[{"destination":"/a"},{"destination":"/b"}],"mounts":[{}],"mounts":[{},{},{}]}`,
	`{"process":{"args":["a","b","c"],"args":["d",null],"args":[null,null,null,null]}}`,
	`{"process":{"args":["a"],"args":[]}}`,
	`{"process":{"args":["a"],"args":null,"args":[null]}}`,
	`{"process":{"oomScoreAdj":3,"oomScoreAdj":null}}`,
	`{"annotations":{"a":"b"},"annotations":{"c":"d"},"annotations":{"a":null}}`,
	`{"linux":{"resources":{"rdma":{"a":{"hcaHandles":1},"a":{"hcaObjects":2}}}}}`,
	`{"windows":{"layerFolders":["a"]},"windows":{"servicing":true}}`,
	`{"windows":null,"vm":{"kernel":{"path":"/k"}},"solaris":{},"zos":{},"freebsd":{"jail":{"host":"new"}}}`,
	`{"windows":{"credentialSpec":{"a":[1,2.5e3,null]}}}`,
	// Unknown fields of every kind.
	`{"x":0,"x":-0.5E+3,"x":"\u00e9","x":true,"x":false,"x":null,"x":[{},[],{"y":[1]}],"hostname":"h"}`,
	// Numbers at their limits.
	`{"process":{"user":{"uid":4294967295},"oomScoreAdj":-9223372036854775808}}`,
	`{"process":{"scheduler":{"nice":-2147483648,"priority":2147483647,"runtime":18446744073709551615}}}`,
	`{"process":{"oomScoreAdj":-0}}`,
	`{"linux":{"resources":{"blockIO":{"weight":65535}}}}`,
	// Strings: escapes, halves of characters, bytes that are no UTF-8.
	`{"hostname":"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00"}`,
	`{"hostname":"\ud83d"}`, `{"hostname":"\ud83dx"}`, `{"hostname":"\ude00\ud83d"}`, `{"hostname":"\ud83d\u0041"}`,
	`{"hostname":"\uD83D\uD83D\uDE00"}`, `{"hostname":"\ufffd\uFFFF"}`,
	"{\"hostname\":\"\xff\xc3(\xe2\x82\"}", "{\"\xff\":1,\"hostname\":\"\x7f\"}", "{\"hostname\":\"\u2028é漢😀\"}",
}

var cornersRefused = []string{
	``, ` `, `null`, `[]`, `7`, `"a"`, `tru`, `{`, `}`, `{}}`, `{},`, `{} {}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`,
	`{'a':1}`, `{"a":1 "b":2}`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":[}`, `{"a":01}`, `{"a":-}`, `{"a":.5}`, `{"a":5.}`, `{"a":1e}`, `{"a":+1}`,
	`{"a":0x10}`, `{"a":NaN}`, `{"a":nul}`, `{"a":nullx}`, `{"a":TRUE}`, `{"a":"\x41"}`, `{"a":"\'"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, "{\"a\":\"\n\"}",
	"{\"a\":\"\x00\"}", "{\"a\":\x00}", `{"a":"`, `{"a":"\`, `{"a":"\"}`, "\ufeff{}", "\xff\xfe{\x00}\x00", "{} // c", "{/**/}", "{#\n}",
	`{"hostname":7}`, `{"hostname":{}}`, `{"mounts":{}}`, `{"mounts":[7]}`, `{"annotations":[]}`, `{"annotations":{"a":1}}`, `{"root":[]}`, `{"root":"x"}`,
	`{"process":{"terminal":1}}`, `{"process":{"terminal":"true"}}`, `{"process":{"user":{"uid":-1}}}`, `{"process":{"user":{"uid":-0}}}`, `{"process":{"user":{"uid":1.0}}}`,
	`{"process":{"user":{"uid":1e1}}}`, `{"process":{"user":{"uid":4294967296}}}`, `{"process":{"user":{"uid":"1"}}}`, `{"process":{"oomScoreAdj":9223372036854775808}}`,
	`{"process":{"scheduler":{"nice":2147483648}}}`, `{"linux":{"resources":{"blockIO":{"weight":65536}}}}`, `{"windows":[]}`, `{"windows":{"layerFolders":7}}`,
}

func TestParseAgreesWithEncodingJSONInCorners(t *testing.T) {
	for _, doc := range cornersTaken {
		if !agree(t, []byte(doc), Parse) {
			_, err := Parse([]byte(doc))
			t.Errorf("refused: %s\n%v", doc, err)
		}
	}
	for _, doc := range cornersRefused {
		if agree(t, []byte(doc), Parse) {
			t.Errorf("accepted: %q", doc)
		}
	}
}
