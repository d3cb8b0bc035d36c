import PortcullisCore
import Testing

@Suite struct StepUpTests {
    @Test(arguments: [
        ("doc:1", "doc:1", true), ("doc:1", "doc:12", false), ("doc:*", "doc:1", true), ("doc:*", "doc:", true),
        ("doc:*", "dot:1", false), ("*", "", true), ("*", "x", true), ("*:admin", "a:admin", true),
        ("*:admin", "a:admin2", false), ("a*a", "a", false), ("a*a", "aa", true), ("a*b*c", "axbxbxc", true),
        ("a*b*c", "axcxb", false), ("a**c", "ac", true), ("", "", true), ("", "x", false), ("ab*ab", "ab", false),
    ])
    func patterns(_ pattern: String, _ resource: String, _ fits: Bool) {
        #expect(ResourcePattern(pattern).matches(Identifier(resource)) == fits)
    }

    @Test func theStrictestRuleCounts() {
        let rules = StepUp([
            .init(ResourcePattern("billing:*"), within: .seconds(900)),
            .init(ResourcePattern("billing:root"), within: .seconds(60)),
        ])
        let now = WallTime(milliseconds: 1_000_000_000)
        func admits(_ resource: Identifier, age: Int64?, mfa: Bool? = nil) -> Bool {
            let time = age.map { now + Milliseconds(-$0 * 1000) }
            return rules.admits(resource, authenticated: time, isMFAVerified: mfa, now: now, leeway: .seconds(30))
        }
        #expect(admits("billing:1", age: 900) && !admits("billing:1", age: 901))
        #expect(admits("billing:root", age: 60) && !admits("billing:root", age: 61))
        #expect(admits("doc:1", age: nil) && !admits("billing:1", age: nil))
        #expect(admits("billing:1", age: 1, mfa: true) && !admits("billing:1", age: 1, mfa: false))
        // A little ahead is another clock; far ahead is no sign-in.
        #expect(admits("billing:1", age: -30) && !admits("billing:1", age: -31))
    }
}
