package kernels

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"kqual/matrix"
)

// debianKeyring is where Debian's package debian-archive-keyring puts it.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// verifyClearsigned returns the signed text of an InRelease file, if one of
// its signatures was made by a key of the keyring file (binary or armored).
// expired accepts keys and signatures that have expired since.
func verifyClearsigned(data []byte, keyring string, expired bool) ([]byte, error) {
	keys, err := readKeyring(keyring)
	if err != nil {
		return nil, err
	}
	block, _ := clearsign.Decode(data)
	if block == nil {
		return nil, notTrusted("it carries no signature")
	}
	// Debian signs with the keys of several releases, and a host knows some of
	// them. The library stops at the first known key even where that one has
	// expired, so each signature is tried by itself.
	worst := error(pgperrors.ErrUnknownIssuer)
	for packets := packet.NewReader(block.ArmoredSignature.Body); ; {
		p, err := packets.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, notTrusted(fmt.Sprintf("its signature is damaged (%v)", err))
		}
		sig, ok := p.(*packet.Signature)
		if !ok {
			continue
		}
		var one bytes.Buffer
		if err := sig.Serialize(&one); err != nil {
			return nil, notTrusted(fmt.Sprintf("its signature is damaged (%v)", err))
		}
		_, err = openpgp.CheckDetachedSignature(keys, bytes.NewReader(block.Bytes), &one, nil)
		old := errors.Is(err, pgperrors.ErrKeyExpired) || errors.Is(err, pgperrors.ErrSignatureExpired)
		if err == nil || expired && old {
			return block.Plaintext, nil
		}
		if !errors.Is(err, pgperrors.ErrUnknownIssuer) {
			worst = err
		}
	}
	switch {
	case errors.Is(worst, pgperrors.ErrUnknownIssuer):
		return nil, &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("none of its signatures was made by a key of %s", keyring),
			Hint: "upgrade debian-archive-keyring, or name the right keyring in the matrix (debian: {keyring: …})",
		}
	case errors.Is(worst, pgperrors.ErrKeyExpired), errors.Is(worst, pgperrors.ErrSignatureExpired):
		return nil, &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("the key that signed it has expired in %s", keyring),
			Hint: "upgrade debian-archive-keyring, or accept it for an old archive (debian: {allow_expired: true})",
		}
	}
	return nil, notTrusted(fmt.Sprintf("bad signature (%v)", worst))
}

func notTrusted(why string) error {
	return &matrix.Failure{
		Side: matrix.SideKernel, Reason: why,
		Hint: "it was altered on the way, or this is no Debian archive: name another mirror (debian: {mirror: …})",
	}
}

// readKeyring reads OpenPGP public keys, binary or armored.
func readKeyring(path string) (openpgp.EntityList, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, &matrix.Failure{
			Side: matrix.SideHost, Reason: fmt.Sprintf("no keyring to verify the archive with: %v", err),
			Hint: "apt-get install debian-archive-keyring, or name one in the matrix (debian: {keyring: …})",
		}
	}
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
		read = openpgp.ReadArmoredKeyRing
	}
	keys, err := read(bytes.NewReader(raw))
	if err != nil {
		return nil, &matrix.Failure{
			Side: matrix.SideHost, Reason: fmt.Sprintf("read keyring %s: %v", path, err),
			Hint: "name an OpenPGP keyring, binary or armored (debian: {keyring: …})",
		}
	}
	return keys, nil
}
