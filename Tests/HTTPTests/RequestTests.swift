import Testing

@testable import HTTP

struct RequestTests {
    @Test(arguments: [
        ("https://a.org", "https"), ("HTTPS://a.org", "https"), ("http://a.org", "http,https"), ("a.org", "http,https"),
    ])
    func `redirects lead from https to https alone`(_ url: String, _ schemes: String) {
        var request = HTTPRequest(.get, url)
        #expect(request.redirectSchemes == schemes)
        request.allowsInsecureRedirects = true
        #expect(request.redirectSchemes == "http,https")
    }
}
