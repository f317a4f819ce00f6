import Archives
import Foundation
import Storage

/// The files that a new uploader gets, in one directory.
struct BundleArchive {
    private let account: String
    /// One that it may list things under.
    private let trialKey: String
    private let site: ToldSite
    private let keyIsMadeByOwner: Bool

    init(account: Account, site: ToldSite, keyIsMadeByOwner: Bool) {
        self.account = account.name
        trialKey = (account.keyPrefixes?.first ?? "try:") + account.name
        self.site = site
        self.keyIsMadeByOwner = keyIsMadeByOwner
    }

    var keyFile: String { "\(account).key" }
    var certificateFile: String { "\(account).crt" }
    var requestFile: String { "\(account).csr" }
    private var directory: String { "\(account)-shacache" }

    /// Where the clients find the server's authority: beside, or what Debian's ca-certificates keeps.
    private var authorityFile: String {
        site.authority == nil ? "/etc/ssl/certs/ca-certificates.crt" : "server-ca.crt"
    }

    /// A tar.gz. Key and certificate are PEM; nil leaves them out.
    func archive(key: String? = nil, certificate: String? = nil) throws -> [UInt8] {
        let files: [(name: String, contents: [UInt8]?, permissions: mode_t)] = [
            ("README.txt", Array(readme.utf8), 0o644),
            ("networkcache.cfg", Array(configuration.utf8), 0o644),
            (authorityFile, site.authority, 0o644),
            (certificateFile, certificate.map { Array($0.utf8) }, 0o644),
            (keyFile, key.map { Array($0.utf8) }, 0o600),
        ]
        return try FileArchive(
            directory: directory,
            files: files.compactMap { name, contents, permissions in
                contents.map { FileArchive.ArchivedFile(name: name, contents: $0, permissions: permissions) }
            }, time: Int(Date.now.timeIntervalSince1970)
        ).bytes()
    }

    /// With paths that hold in the directory itself. Nothing stands behind the last option: a certificate is appended.
    private var configuration: String {
        """
        # For shacache, networkcache-upload and networkcache-download, called in this directory. The same lines may stand in
        # a slapos.cfg, with the files' whole paths.
        [networkcache]
        download-cache-url = \(escaped(site.downloadURL))/shacache
        download-dir-url = \(escaped(site.downloadURL))/shadir
        upload-cache-url = \(escaped(site.uploadURL))/shacache
        upload-dir-url = \(escaped(site.uploadURL))/shadir
        download-binary-cache-url = \(escaped(site.downloadURL))/shacache
        download-binary-dir-url = \(escaped(site.downloadURL))/shadir
        upload-binary-cache-url = \(escaped(site.uploadURL))/shacache
        upload-binary-dir-url = \(escaped(site.uploadURL))/shadir
        shacache-ca-file = \(authorityFile)
        shacache-cert-file = \(certificateFile)
        shacache-key-file = \(keyFile)
        shadir-ca-file = \(authorityFile)
        shadir-cert-file = \(certificateFile)
        shadir-key-file = \(keyFile)
        # README.txt says how to make these two.
        #signature-private-key-file = signature.key
        #signature-certificate-list =

        """
    }

    /// In such files, a percent sign begins another option's name.
    private func escaped(_ value: String) -> String { value.replacing("%", with: "%%") }

    /// For a shell.
    private func quoted(_ word: String) -> String { "'\(word.replacing("'", with: "'\\''"))'" }

    private var readme: String {
        """
        \(site.name)
        Account: \(account)

        Everything below is typed in this directory. \(keyFile) is yours alone: whoever has it uploads in your name. When it
        may have been seen by others, tell the operator at once.
        \(keyIsMadeByOwner ? keyInstructions : "")
        Needed: curl; or shacache, whose libraries are Debian's libarchive13, libcurl4 and libssl3; or networkcache-upload,
        which is Python's slapos.libnetworkcache.

        Try it. Each of these uploads this text, and any one of them will do; the first two print its SHA-512:

          curl -sS --cacert \(authorityFile) --cert \(certificateFile) --key \(keyFile) --data-binary @README.txt -w '\\n' \(site.uploadURL)/shacache
          shacache upload --config networkcache.cfg README.txt
          networkcache-upload -c networkcache.cfg -f README.txt

        Anybody can then download it by that name:

          curl -sS \(site.downloadURL)/shacache/SHA-512

        Sign. Whatever is to be found by a name is listed under a key, in an entry that you sign. Make a key for that, once,
        by one of these:

          shacache generate-signature-key --cert-file signature.crt signature.key \(account)
          generate-signature-key --cert-file signature.crt signature.key \(account)

        The second one, where it is the old program, makes a key of 1024 bits, which can be broken. The configuration is to
        name the key:

          sed -i 's/^#signature/signature/' networkcache.cfg
          sed 's/^/  /' signature.crt >>networkcache.cfg

        and send signature.crt, never signature.key, to the operator, and to the owners of the nodes that shall trust you.
        Then list what you upload:

          shacache upload --config networkcache.cfg --key \(quoted(trialKey)) README.txt
          networkcache-upload -c networkcache.cfg -k \(quoted(trialKey)) -f README.txt file=README.txt

        When your certificate is about to expire, the operator sends you the next one, for the same key: put it into the place
        of \(certificateFile).

        """
    }

    private var keyInstructions: String {
        """

        First make the key, and a request that says that it is yours:

          openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \(keyFile) -out \(requestFile) -subj /CN=\(account)

        Send \(requestFile), and nothing else, to the operator, and put what comes back beside it as \(certificateFile).

        """
    }
}
