// text.js - every text of the console, in English and Korean. {name} is filled in. A name that ends in a number is the
// text for this {n}; Korean needs none for one of a kind.
const TEXTS = {
  flows: ["Flows", "작업 종류"], myJobs: ["My jobs", "내 작업"], home: ["Start", "시작"],
  lastJobs: ["Last jobs", "최근 작업"], allJobs: ["All my jobs", "내 작업 모두 보기"],
  noJobsHere: ["No jobs yet.", "아직 작업이 없습니다."], noJobs: ["No jobs yet. Start one:", "아직 작업이 없습니다. 하나 시작해 보세요:"],
  noFlows: ["There is no flow you may start.", "시작할 수 있는 작업이 없습니다."],
  noMatch: ["No job fits these filters.", "조건에 맞는 작업이 없습니다."],
  usually: ["usually {a}-{b}", "보통 {a}~{b}"], skip: ["Skip to content", "본문으로 건너뛰기"],
  start: ["Start", "시작"], starting: ["Starting…", "시작하는 중…"], check: ["Check only", "확인만"],
  curl: ["Copy as curl", "curl로 복사"], example: ["Fill in an example", "예시 채우기"],
  form: ["Form", "양식"], clear: ["Clear", "지우기"], ctrlEnter: ["Ctrl+Enter starts it", "Ctrl+Enter로 시작"],
  add: ["Add", "추가"], remove: ["Remove", "삭제"], optional: ["optional", "선택"], choose: ["Choose", "선택하세요"],
  jsonBad: ["This is not JSON: {why}", "JSON이 아닙니다: {why}"], jsonHint: ["JSON", "JSON"],
  draftKept: ["Draft kept", "초안이 저장됨"], wait: ["Start ({n} s)", "시작 ({n}초)"],
  errorsIn: ["Please mend this first", "먼저 고쳐 주세요"], whole: ["The request", "요청 전체"],
  valid: ["This request is valid. Nothing was started.", "올바른 요청입니다. 시작하지는 않았습니다."],
  plan: ["Would make these calls: {list}", "다음 호출을 하게 됩니다: {list}"],
  inCache: ["The answer is in the cache.", "답이 캐시에 있습니다."],
  left: ["{n} of {all} starts left", "{all}번 중 {n}번 더 시작할 수 있음"],
  fromCache: ["from cache, {age}", "캐시에서, {age}"], again: ["Run again", "다시 실행"], keyUsed: ["Start with a new key", "새 키로 시작"],
  retrying: ["Asking again in {n} s, with the same key", "같은 키로 {n}초 뒤 다시 요청"], stop: ["Stop", "멈춤"],
  job: ["Job", "작업"], started: ["started", "시작"], created: ["accepted", "접수"], took: ["took", "걸린 시간"], deadline: ["deadline", "기한"],
  cancel: ["Cancel", "취소"], copyLink: ["Copy link", "링크 복사"], tellMe: ["Tell me when done", "끝나면 알림"], willTell: ["Will tell you", "알려 드립니다"],
  onlyYou: ["only you can read it", "나만 볼 수 있음"], anyone: ["anyone with the link can read it", "링크가 있으면 누구나 볼 수 있음"],
  calls: ["Calls", "호출"], results: ["Results so far", "지금까지의 결과"], resultsAll: ["Results of the calls", "호출 결과"], result: ["Result", "결과"], details: ["Details", "자세히"],
  input: ["Input, as this browser sent it", "입력 (이 브라우저가 보낸 것)"], noInput: ["Sent from elsewhere; the server does not give it back.", "다른 곳에서 보냈으며 서버는 돌려주지 않습니다."],
  accepted: ["Request complete. You can close this page.", "요청이 접수되었습니다. 이 페이지를 닫아도 됩니다."],
  ahead: ["{n} ahead of you", "앞에 {n}개"], doneOf: ["{n} of {all} done", "{all}개 중 {n}개 완료"], done: ["{n} done", "{n}개 완료"],
  longer: ["longer than usual", "평소보다 오래 걸림"], longerUntil: ["longer than usual, deadline {at}", "평소보다 오래 걸림, 기한 {at}"], elapsed: ["{t} so far", "{t} 지남"],
  retryAt: ["will be tried again at {at}", "{at}에 다시 시도"],
  worked: ["{n} of {all} worked.", "{all}개 중 {n}개 성공."], allWorked: ["All {n} worked.", "{n}개 모두 성공."],
  attempts: ["{n} attempts", "{n}번 시도"], attemptOf: ["attempt {n} of {max}", "{max}번 중 {n}번째 시도"], attempts1: ["1 attempt"], andMore: ["more may come", "더 있을 수 있음"],
  kept: ["{n} results kept", "결과 {n}개 보관"], kept1: ["1 result kept"], stopped: ["{n} calls were stopped, their provider may still bill them", "호출 {n}개를 멈췄지만 요금이 청구될 수 있음"],
  stopped1: ["1 call was stopped, its provider may still bill it"],
  cancelledAt: ["Cancelled {at} by {who}.", "{at}에 취소됨 ({who})."], you: ["you", "본인"], owner: ["its owner or an operator", "주인 또는 운영자"],
  cancelAsk: ["Cancel this job?", "이 작업을 취소할까요?"], cancelText: ["Results that are there stay. Calls on their way are stopped; their provider may still bill them.", "이미 나온 결과는 남습니다. 진행 중인 호출은 멈추지만 요금이 청구될 수 있습니다."],
  keep: ["Keep running", "계속 실행"], cancelYes: ["Cancel the job", "작업 취소"], cancelAsked: ["Asked to stop. Waiting for its worker.", "중지를 요청했습니다."],
  offline: ["Offline. Your job goes on without this page.", "오프라인입니다. 작업은 이 페이지 없이도 계속됩니다."], since: ["as of {at}", "{at} 기준"], offlinePage: ["You are offline. This page goes on when you are back.", "오프라인입니다. 연결되면 계속됩니다."],
  back: ["Back. {n} results came meanwhile.", "다시 연결됨. 그동안 결과 {n}개가 도착."], back1: ["Back. 1 result came meanwhile."], back0: ["Back. Nothing was missed.", "다시 연결됨. 놓친 것은 없습니다."],
  polling: ["Live updates are off; looking every 3 s.", "실시간 연결이 없어 3초마다 확인합니다."],
  callsDone: ["{n} of {all} calls finished", "호출 {all}개 중 {n}개 끝남"], isDone: ["{flow}: {state}", "{flow}: {state}"], isNow: ["The job is {state}", "작업 상태: {state}"],
  waited: ["waited {t}", "{t} 대기"], backoff: ["pause {t}", "{t} 쉼"], bar: ["{name}: {parts}", "{name}: {parts}"],
  gone: ["Not found, or not yours.", "없거나 내 것이 아닙니다."],
  filter: ["Filters", "조건"], flow: ["Flow", "종류"], stateWord: ["State", "상태"], all: ["all", "모두"], sinceWord: ["Since", "부터"], idWord: ["Id", "아이디"], show: ["Show", "보기"],
  shownOf: ["{n} of {all} shown", "{all}개 중 {n}개 표시"], showMore: ["Show more", "더 보기"], older: ["Load older", "더 보기"], more: ["{n} new - show", "새 작업 {n}개 - 보기"],
  device: ["Started from this device", "이 기기에서 시작한 작업"], deviceText: ["Jobs without an owner (guests', and those everybody shares) are listed from the links this device keeps.", "주인이 없는 작업(손님, 공유)은 이 기기에 남은 링크로 보여 줍니다."],
  forget: ["Forget these links", "링크 지우기"], signInList: ["Sign in to see your jobs on every device.", "로그인하면 모든 기기에서 볼 수 있습니다."],
  signIn: ["Sign in", "로그인"], signOut: ["Sign out", "로그아웃"], guest: ["Guest", "손님"], tryAs: ["Try it as", "사용자 바꾸기"], token: ["Token", "토큰"], tokenHint: ["A bearer token (JWT). It is kept in a cookie no script can read, until it expires.", "베어러 토큰(JWT). 만료될 때까지 스크립트가 읽을 수 없는 쿠키에 보관됩니다."],
  close: ["Close", "닫기"], copy: ["Copy", "복사"], copied: ["Copied", "복사했습니다"], copyYourself: ["Copy this", "직접 복사하세요"],
  language: ["한국어", "English"], theme: ["Colours", "색"], "theme.auto": ["Auto", "자동"], "theme.light": ["Light", "밝게"], "theme.dark": ["Dark", "어둡게"],
  keys: ["Keys", "단축키"], keysOn: ["Keys are on", "단축키 사용 중"], keysOff: ["Keys are off", "단축키 꺼짐"], turnOff: ["Switch them off", "끄기"], turnOn: ["Switch them on", "켜기"],
  "k.?": ["this list", "이 목록"], "k.g f": ["flows", "작업 종류"], "k.g j": ["my jobs", "내 작업"], "k./": ["first field", "첫 입력란"], "k.j k": ["next, previous row", "다음, 이전 줄"], "k.Enter": ["open", "열기"], "k.c": ["copy link", "링크 복사"], "k.x": ["cancel the job", "작업 취소"], "k.Esc": ["close", "닫기"],
  none: ["none", "없음"], yes: ["yes", "예"], no: ["no", "아니요"], table: ["Table", "표"], cut: ["Cut at {kb} KB. Copy gives all of it.", "{kb}KB에서 잘림. 복사하면 전체를 얻습니다."], failed: ["This did not work", "실패했습니다"], request: ["Request", "요청"], loading: ["Loading", "불러오는 중"], retry: ["Try again", "다시 시도"],
  now: ["now", "지금"], ms: ["{n} ms", "{n}ms"], s: ["{n} s", "{n}초"], minS: ["{m} min {s} s", "{m}분 {s}초"], hMin: ["{h} h {m} min", "{h}시간 {m}분"],
  "state.queued": ["queued", "대기"], "state.waiting": ["waiting", "대기"], "state.running": ["running", "실행 중"], "state.succeeded": ["succeeded", "성공"], "state.partial": ["partial", "일부 성공"], "state.failed": ["failed", "실패"], "state.cancelled": ["cancelled", "취소됨"], "state.expired": ["expired", "기한 초과"], "state.skipped": ["skipped", "건너뜀"],
};

// Problems by code: what happened | what it means and what to do.
const PROBLEMS = {
  "not-json": ["That is no JSON|Nothing was started. Your draft is kept.", "JSON이 아닙니다|시작하지 않았습니다. 초안은 남아 있습니다."],
  schema: ["Some fields need a change|Nothing was started. Your draft is kept.", "고칠 항목이 있습니다|시작하지 않았습니다. 초안은 남아 있습니다."],
  expression: ["The flow could not use this request|Nothing was started. Look at what you entered.", "이 요청을 처리할 수 없습니다|시작하지 않았습니다. 입력을 확인하세요."],
  "big-number": ["A number is too big to keep exactly|Nothing was started. Send it as text, or smaller.", "숫자가 너무 큽니다|시작하지 않았습니다. 더 작게 하거나 문자로 보내세요."],
  "guest-key": ["The key of a guest must be a UUID|Nothing was started.", "손님의 키는 UUID여야 합니다|시작하지 않았습니다."],
  "too-large": ["The request is too large|Nothing was started. Shorten it.", "요청이 너무 큽니다|시작하지 않았습니다. 줄여 주세요."],
  "key-reused": ["This key belongs to another request|Nothing was started. A new key makes a new job.", "이미 쓰인 키입니다|시작하지 않았습니다. 새 키로 새 작업을 만들 수 있습니다."],
  "signed-out": ["Sign in again; your form is kept|Nothing was started.", "다시 로그인하세요. 입력은 남아 있습니다|시작하지 않았습니다."],
  "not-allowed": ["You may not do this|Ask for the right, or sign in as somebody else.", "권한이 없습니다|권한을 요청하거나 다른 사용자로 로그인하세요."],
  "no-flow": ["No such flow, or not yours|Choose one you may start.", "없거나 사용할 수 없는 작업입니다|시작할 수 있는 작업을 고르세요."],
  "no-job": ["Not found, or not yours|The link may be wrong, or the job is kept no longer.", "없거나 내 것이 아닙니다|링크가 틀렸거나 보관 기간이 지났습니다."],
  "rate-limited": ["Too many requests just now|Nothing was started. Wait until the button says so.", "요청이 너무 많습니다|시작하지 않았습니다. 잠시 기다려 주세요."],
  unavailable: ["Cannot be read now; your job goes on|Trying again by itself.", "지금 읽을 수 없지만 작업은 계속됩니다|자동으로 다시 시도합니다."],
  overloaded: ["Not accepted, nothing was started|There is too much to do. It is sent again by itself.", "접수되지 않았습니다. 시작된 것이 없습니다|일이 너무 많습니다. 자동으로 다시 보냅니다."],
  "not-durable": ["Not accepted, nothing was started|It could not be stored. It is sent again by itself.", "접수되지 않았습니다. 시작된 것이 없습니다|저장하지 못했습니다. 자동으로 다시 보냅니다."],
  "outcome-unknown": ["Perhaps accepted|Asking again is safe: the same key gives the same job.", "접수되었을 수 있습니다|같은 키이므로 다시 요청해도 안전합니다."],
  final: ["Already finished|Here is its result.", "이미 끝났습니다|결과를 확인하세요."],
  offline: ["No answer from the server|You may be offline. Nothing you entered is lost.", "서버가 응답하지 않습니다|오프라인일 수 있습니다. 입력은 남아 있습니다."],
};

// Reasons of calls and jobs by code, for those whose language is not the API's own.
const REASONS = {
  connect: "서비스에 연결할 수 없습니다.", dns: "서비스를 찾을 수 없습니다.", tls: "서비스를 신뢰할 수 없습니다.", "blocked-address": "호출할 수 없는 서비스입니다.", reset: "서비스가 연결을 끊었습니다.", timeout: "서비스가 너무 오래 걸렸습니다.", "http-3xx": "서비스가 다른 곳을 가리킵니다.", "http-4xx": "서비스가 요청을 거절했습니다.", "http-429": "서비스가 너무 바쁩니다.", "http-5xx": "서비스에 오류가 났습니다.", "bad-body": "서비스의 답을 쓸 수 없습니다.", "too-big": "답이 너무 큽니다.", "breaker-open": "지금 서비스에 장애가 있습니다.", deadline: "시간이 부족했습니다.", cancelled: "취소되었습니다.", expression: "계산할 수 없었습니다.", skipped: "필요한 것이 성공하지 못했습니다.", "too-many-items": "항목이 너무 많습니다.", unknown: "처리되었는지 알 수 없습니다.",
  "need-not-met": "성공한 호출이 너무 적습니다.", conflict: "이미 있습니다.", "load-failed": "데이터를 읽을 수 없었습니다.", "save-failed": "결과를 저장할 수 없었습니다.", "bad-event": "요청을 읽을 수 없었습니다.", "crashed-worker": "작업이 계속 중단되었습니다.", "never-finished": "끝나지 않았습니다.", "redrive-aborted": "다시 시도하지 않았습니다.",
};

let at = 0; // 0 English, 1 Korean

export function lang() { return at ? "ko" : "en"; }
export function chooseLanguage(code) {
  at = code === "ko" ? 1 : 0;
  document.documentElement.lang = lang();
}

export function t(key, values) {
  const text = TEXTS[key + values?.n]?.[at] ?? TEXTS[key]?.[at] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "") : text;
}

export function sentence(code) {
  return Object.hasOwn(PROBLEMS, code || "") ? PROBLEMS[code][at].split("|") : null;
}

// A check's own words stand as they are; what only explains the code is translated.
export function reason(code, message) {
  if (at && code !== "refused" && Object.hasOwn(REASONS, code || "")) return REASONS[code];
  return message || code || "";
}
