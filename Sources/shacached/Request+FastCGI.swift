import FastCGI
import Service
import ShaCache

extension Request {
    /// Every parameter that nginx's snippets set (`fastcgi_param`), and no other: what a client sends reaches the worker
    /// under no name that they did not choose.
    init(_ source: borrowing FastCGIRequest) {
        self.init()
        method = source.text("REQUEST_METHOD")
        target = source.bytes("REQUEST_URI")
        mount = Mount(rawValue: source.text("MOUNT")) ?? .prefixes
        purpose = Purpose(rawValue: source.text("PURPOSE")) ?? .request
        contentLength = source.text("CONTENT_LENGTH")
        transferEncoding = source.text("TRANSFER_ENCODING")
        bodyFile = source.text("BODY_FILE")
        if purpose == .existence { list = source.body(upTo: ExistenceList.byteLimit + 1) }
        range = source.text("RANGE")
        ifMatch = source.text("IF_MATCH")
        ifNoneMatch = source.text("IF_NONE_MATCH")
        ifRange = source.text("IF_RANGE")
        certificateVerification = source.text("CERTIFICATE_VERIFICATION")
        certificate = source.bytes("CERTIFICATE")
        isLocalWriter = source.text("LOCAL_WRITER") == "1"
        isMonitor = source.text("MONITOR") == "1"
        clientAddress = source.text("REMOTE_ADDR")
        isLimited = !source.text("LIMITED").isEmpty
        requestID = source.text("REQUEST_ID")
        // nginx passes the request on when its body is complete, with the number of seconds that this took.
        start = .now - .seconds(Double(source.text("RECEIVE_SECONDS")) ?? 0)
    }
}
