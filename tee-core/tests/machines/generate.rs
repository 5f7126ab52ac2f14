//! Random steps for `proptest`: mostly sensible, so that sequences get deep, and some that are not.

use super::play::Sequence;
use super::step::{Address, How, In, List, Meanwhile, Msg, P, Reply, Shape, Step, Token, VMS, X};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

fn vm() -> impl Strategy<Value = u8> {
    prop_oneof![6 => Just(0u8), 3 => Just(1), 1 => Just(2)]
}

fn id() -> impl Strategy<Value = u32> {
    prop_oneof![
        12 => select(&VMS[..]).prop_map(u32::from),
        1 => 1..8u32,
        1 => select(&[0, 0x1_0000, 0x1_0001, 0xFFFF_FFFF, 0x8000_0001][..]),
    ]
}

fn client() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(0u32), 2 => id()]
}

fn address() -> BoxedStrategy<Address> {
    prop_oneof![
        8 => (vm(), 0..11u8, 0..4096u16).prop_map(|(vm, page, offset)| Address::Of(vm, page, offset)),
        2 => (vm(), 0..11u8).prop_map(|(vm, page)| Address::Of(vm, page, 0)),
        1 => select(&[0u16, 1, 8, 0x100, 0x1000, 0x2000][..]).prop_map(Address::End),
        1 => select(&[0u16, 1, 8, 0x100, 0x1000, 0x2000][..]).prop_map(Address::Hole),
        1 => any::<u8>().prop_map(Address::Secure),
        1 => select(&[0, 1, u64::MAX, !0xFFF, 1 << 32, 1 << 63, 0x4000_0000_0000][..]).prop_map(Address::Raw),
    ]
    .boxed()
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..320u64,
        2 => 0..0x6000u64,
        1 => select(&[0x1000, 0x1001, 0x7F_F000, 0x80_0000, 0x80_0001, 1 << 32, u64::MAX, u64::MAX - 0xFFF][..]),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        6 => Just(Shape::Good),
        1 => (prop_oneof![4 => 0..3u8, 1 => any::<u8>()], address()).prop_map(|(place, address)| Shape::Bad(place, address)),
        1 => address().prop_map(Shape::Next),
    ]
}

fn cookie() -> impl Strategy<Value = u8> {
    prop_oneof![12 => 1..4u8, 1 => any::<u8>()]
}

fn parameter() -> BoxedStrategy<P> {
    prop_oneof![
        2 => Just(P::Nothing),
        1 => (select(&[0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 0x209, 0x20A, 0x101, 0x109, 0x4, 0x80, 1 << 63][..]),
              any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(attr, a, b, c)| P::Attr(attr, a, b, c)),
        2 => (0..3u8, 0..3u32, 0..2u32).prop_map(|(dir, a, b)| P::Value(dir, a, b)),
        3 => (0..3u8, address(), size()).prop_map(|(dir, address, size)| P::Memory(dir, address, size)),
        2 => (0..3u8, shape(), 0..4096u16, size(), cookie())
                .prop_map(|(dir, shape, offset, size, cookie)| P::Pages(dir, shape, offset, size, cookie)),
        2 => (0..3u8, cookie(), size(), size()).prop_map(|(dir, cookie, at, size)| P::Shared(dir, cookie, at, size)),
        1 => name(),
        1 => secret(),
    ]
    .boxed()
}

fn name() -> impl Strategy<Value = P> {
    prop_oneof![8 => Just((0u8, 1u8)), 2 => (0..3u8, 1..3u8), 2 => (0..26u8, 1..33u8), 1 => (0..26u8, any::<u8>())]
        .prop_map(|(which, len)| P::Name(which, len))
}

fn secret() -> impl Strategy<Value = P> {
    (any::<u8>(), prop_oneof![4 => 1..65u16, 1 => 0..260u16]).prop_map(|(first, len)| P::Secret(first, len))
}

/// Where a function's output goes.
fn output() -> BoxedStrategy<P> {
    prop_oneof![
        4 => (vm(), 9..11u8, 0..2048u16, 0..320u64)
                .prop_map(|(vm, page, offset, size)| P::Memory(1, Address::Of(vm, page, offset), size)),
        1 => (0..4096u16, 1..320u64).prop_map(|(offset, size)| P::Pages(1, Shape::Good, offset, size, 0)),
        1 => (cookie(), 0..4096u64, 0..320u64).prop_map(|(cookie, at, size)| P::Shared(1, cookie, at, size)),
        1 => parameter(),
    ]
    .boxed()
}

fn msg(cmd: u32, func: u32, session: In, params: Vec<P>) -> Msg {
    Msg { cmd, func, session, params: List(params), count: None }
}

fn parameters(most: usize) -> impl Strategy<Value = Vec<P>> {
    proptest::collection::vec(parameter(), 0..most)
}

/// Mostly a session of the pseudo-TA whose function is called; numbers as in `Service::ALL`.
fn session_of(service: u8) -> BoxedStrategy<In> {
    prop_oneof![
        12 => (0..2u8).prop_map(move |which| In::Its(service, which)),
        2 => any::<u8>().prop_map(In::Any),
        1 => prop_oneof![0..100u32, any::<u32>()].prop_map(In::Id),
    ]
    .boxed()
}

/// A function of a pseudo-TA, more or less as it should be called.
fn invoke(service: u8) -> BoxedStrategy<Msg> {
    let of = || session_of(service);
    match service {
        0 => {
            let put = (of(), name(), secret()).prop_map(|(session, a, b)| msg(1, 0, session, vec![a, b]));
            let get = (of(), name(), output()).prop_map(|(session, a, b)| msg(1, 1, session, vec![a, b]));
            let delete = (of(), name()).prop_map(|(session, name)| msg(1, 2, session, vec![name]));
            prop_oneof![3 => put, 4 => get, 1 => delete].boxed()
        }
        1 => (of(), 0..3u32, output()).prop_map(|(session, func, a)| msg(1, func, session, vec![a])).boxed(),
        2 => {
            let random = (of(), output()).prop_map(|(session, a)| msg(1, 0, session, vec![a]));
            let rate = of().prop_map(|session| msg(1, 1, session, vec![P::Value(1, 0, 0)]));
            prop_oneof![2 => random, 1 => rate].boxed()
        }
        3 => {
            let figures = (of(), 0..2u32, output())
                .prop_map(|(session, reset, a)| msg(1, 1, session, vec![P::Value(0, 1, reset), a]));
            let time = of().prop_map(|session| msg(1, 4, session, vec![P::Value(1, 0, 0), P::Value(1, 0, 0)]));
            prop_oneof![2 => figures, 3 => time].boxed()
        }
        _ => {
            let tests = of().prop_map(|session| msg(1, 2, session, vec![]));
            let null = of().prop_map(|session| msg(1, 10, session, vec![P::Memory(2, Address::Raw(0), 0)]));
            prop_oneof![2 => tests, 1 => null].boxed()
        }
    }
}

/// CLOSE_SESSION and CANCEL.
fn end(service: u8) -> BoxedStrategy<Msg> {
    (session_of(service), 2..4u32).prop_map(|(session, cmd)| msg(cmd, 0, session, vec![])).boxed()
}

/// REGISTER_SHM and UNREGISTER_SHM.
fn memory() -> BoxedStrategy<Msg> {
    let at = prop_oneof![3 => Just(0u16), 1 => 0..4096u16];
    let register = (shape(), at, size(), cookie())
        .prop_map(|(shape, at, size, cookie)| msg(4, 0, In::Id(0), vec![P::Pages(1, shape, at, size, cookie)]));
    let unregister = cookie().prop_map(|cookie| msg(5, 0, In::Id(0), vec![P::Shared(0, cookie, 0, 0)]));
    prop_oneof![register, unregister].boxed()
}

fn message() -> BoxedStrategy<Msg> {
    let target = prop_oneof![12 => 0..5u8, 1 => any::<u8>()];
    let login = prop_oneof![8 => Just(0u32), 1 => 0..8u32, 1 => Just(0x8000_0000)];
    let open = (target, login, parameters(3)).prop_map(|(target, login, more)| {
        msg(0, 0, In::Id(0), [vec![P::Target(target), P::Client(login)], more].concat())
    });
    let any = (session_of(0), 0..12u32, parameters(5)).prop_map(|(session, func, p)| msg(1, func, session, p));
    let count = weighted(0.5, select(&[0, 1, 5, 6, 7, 126, 127, 128, u32::MAX][..]));
    let odd = (0..14u32, session_of(0), parameters(7), count)
        .prop_map(|(cmd, session, params, count)| Msg { count, ..msg(cmd, 0, session, params) });
    prop_oneof![
        3 => open.boxed(),
        6 => invoke(0),
        9 => (0..5u8).prop_flat_map(invoke).boxed(),
        2 => any.boxed(),
        3 => (0..5u8).prop_flat_map(end).boxed(),
        6 => memory(),
        1 => odd.boxed(),
    ]
    .boxed()
}

fn how() -> BoxedStrategy<How> {
    prop_oneof![
        5 => Just(How::Arg),
        5 => Just(How::RpcArg),
        2 => (cookie(), prop_oneof![4 => (0..1024u32).prop_map(|n| n * 8), 1 => any::<u32>()])
                .prop_map(|(cookie, offset)| How::Registered(cookie, offset)),
    ]
    .boxed()
}

fn reply() -> BoxedStrategy<Reply> {
    prop_oneof![
        12 => Just(Reply::Obeys),
        1 => any::<[u32; 4]>().prop_map(|[a, b, c, d]| Reply::Words(a, b, c, d)),
        2 => (address(), cookie()).prop_map(|(address, cookie)| Reply::Gives(address, cookie)),
        1 => select(&[1, 0xFFFF_0000, 0xFFFF_000C, u32::MAX][..]).prop_map(Reply::Fails),
        2 => parameter().prop_map(Reply::Says),
        1 => (shape(), 0..4096u16, 0x2000..0x5000u64).prop_map(|(shape, at, size)| Reply::Says(P::Pages(1, shape, at, size, 3))),
    ]
    .boxed()
}

fn token() -> impl Strategy<Value = Token> {
    prop_oneof![16 => Just(Token::Right), 1 => Just(Token::Last), 1 => any::<u32>().prop_map(Token::Number)]
}

fn meanwhile() -> BoxedStrategy<Meanwhile> {
    // What messages and lists are made of.
    let number = prop_oneof![0..16u64, address().prop_map(|_| 0x4000_0000u64), any::<u64>()];
    prop_oneof![
        (address(), number).prop_map(|(address, number)| Meanwhile::Write(address, number)),
        (vm(), 0..4u8, 0..28u16, any::<u64>())
            .prop_map(|(vm, page, place, number)| { Meanwhile::Write(Address::Of(vm, page, place * 8), number) }),
        (select(&[0x0A, 0x0B, 0x0D, 0x0E, 0x0F][..]), id(), client())
            .prop_map(|(function, x1, client)| Meanwhile::Calls(function, x1, client)),
    ]
    .boxed()
}

/// Fast calls of the whole range, and yielding ones that nobody defines.
fn registers() -> BoxedStrategy<[u32; 8]> {
    let function = prop_oneof![
        4 => select(&[0xBF00_FF00, 0xBF00_FF01, 0xBF00_FF03, 0xB200_0000, 0xB200_0001, 0xB200_000F][..]),
        4 => select(&[0xB200_0009, 0xB200_000A, 0xB200_000B, 0xB200_000C, 0xB200_000D, 0xB200_000E][..]),
        2 => (0..0x20u32).prop_map(|n| 0xB200_0000 | n),
        1 => (0..0x20u32).prop_map(|n| 0xF200_0000 | n),
        2 => (0..0x20u32).prop_map(|n| 0x3200_0000 | n),
        1 => any::<u32>(),
    ];
    let small = || prop_oneof![3 => 0..4u32, 1 => any::<u32>()];
    (function, id(), small(), small(), client()).prop_map(|(x0, x1, x2, x3, x7)| [x0, x1, x2, x3, 0, 0, 0, x7]).boxed()
}

/// A step.
fn step() -> BoxedStrategy<Step> {
    let resume = (any::<u8>(), weighted(0.1, 0..3u8), token(), reply());
    // Few bytes, so that there are many; or so many that the page lists fill the heap.
    let bytes = prop_oneof![1..0x3000u32, 0x70_0000..0x80_0001u32];
    let rare = prop_oneof![
        2 => (vm(), 1..8u8, 1..24u8, bytes).prop_map(|(vm, first, n, size)| Step::Register(vm, first, n, size)),
        1 => (vm(), any::<u8>(), any::<u8>()).prop_map(|(vm, first, n)| Step::Register(vm, first, n, 1)),
        4 => (vm(), 0..5u8, 1..3u8).prop_map(|(vm, service, n)| Step::Open(vm, service, n)),
        1 => (vm(), 0..5u8, 30..35u8).prop_map(|(vm, service, n)| Step::Open(vm, service, n)),
        2 => (address(), any::<[u64; 4]>()).prop_map(|(address, numbers)| Step::Poke(address, numbers)),
        2 => any::<bool>().prop_map(Step::Random),
    ];
    let cache = (0xB200_000A..0xB200_000Cu32, select(&VMS[..])).prop_map(|(f, vm)| X([f, 0, 0, 0, 0, 0, 0, vm.into()]));
    prop_oneof![
        3 => id().prop_map(Step::Create),
        1 => id().prop_map(Step::Destroy),
        2 => registers().prop_map(|x| Step::Smc(X(x))),
        1 => cache.prop_map(Step::Smc),
        18 => (vm(), 0..4u8, how(), message()).prop_map(|(vm, page, how, msg)| Step::Call(vm, page, how, msg)),
        8 => resume.prop_map(|(which, by, token, reply)| Step::Resume(which, by, token, reply)),
        3 => any::<u8>().prop_map(Step::Finish),
        5 => prop_oneof![4 => 0..12u16, 1 => 0..2000u16].prop_map(Step::Interrupt),
        3 => (0..16u16, meanwhile()).prop_map(|(n, what)| Step::After(n, what)),
        2 => rare.boxed(),
    ]
    .boxed()
}

/// A call that is suspended, what others do to what it uses, and its end.
fn rivals() -> impl Strategy<Value = Vec<Step>> {
    let smc = |x: [u32; 8]| Step::Smc(X(x));
    let with = move |service: u8| {
        let call = |msg| (0..2u8, how(), msg).prop_map(|(page, how, msg)| Step::Call(0, page, how, msg));
        let id = u32::from(VMS[0]);
        let rival = prop_oneof![
            4 => call(end(service)),
            3 => call(invoke(service)),
            2 => call(memory()),
            1 => Just(smc([0xB200_000B, 0, 0, 0, 0, 0, 0, id])),
            1 => Just(smc([0xB200_000A, 0, 0, 0, 0, 0, 0, id])),
            1 => (0..12u16).prop_map(Step::Interrupt),
            1 => (0..8u16).prop_map(move |n| Step::After(n, Meanwhile::Calls(0x0E, id, 0))),
        ];
        let first = (0..8u16, call(invoke(service)));
        (first, proptest::collection::vec(rival, 1..5), 0..3usize).prop_map(move |((n, call), rivals, ends)| {
            // Something that can be found in the vault.
            let put = msg(1, 0, In::Its(0, 0), vec![P::Name(0, 1), P::Secret(1, 16)]);
            let open = [Step::Random(true), Step::Open(0, 0, 1), Step::Call(0, 3, How::RpcArg, put)];
            let begin = open.into_iter().chain([Step::Open(0, service, 1), Step::Interrupt(n), call]);
            begin.chain(rivals).chain(vec![Step::Finish(0); ends]).collect()
        })
    };
    (0..5u8).prop_flat_map(with)
}

/// A sequence: a machine's pages, and what happens.
pub fn sequence(longest: usize) -> impl Strategy<Value = Sequence> {
    // Room for one VM and a half up to all that are named, each with all that its quota allows.
    let parts = prop_oneof![12 => step().prop_map(|step| vec![step]).boxed(), 1 => rivals().boxed()];
    let steps = proptest::collection::vec(parts, 1..longest).prop_map(|parts| parts.concat());
    let prepared = proptest::bool::weighted(0.8);
    (40..240usize, steps, prepared).prop_map(|(pages, mut steps, prepared)| {
        if prepared {
            steps.splice(0..0, [Step::Open(0, 0, 1), Step::Register(0, 1, 3, 0x2000)]);
        }
        steps.insert(0, Step::Create(VMS[0].into()));
        Sequence { pages, steps }
    })
}
