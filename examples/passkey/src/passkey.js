// The script of the login page. It carries messages between the gateway and the browser's passkeys, and decides nothing.

const page = document.querySelector("[data-return-to]");
const problem = document.getElementById("problem");

/** Posts JSON, and returns the answer; what is refused is thrown with the gateway's own words. */
async function post(path, body) {
  const answer = await fetch(`/login/passkey/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
  const told = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.problem ?? "This does not work at the moment. Try again in a minute.");
  return told;
}

async function signIn() {
  const { publicKey } = await post("begin-sign-in");
  const options = PublicKeyCredential.parseRequestOptionsFromJSON(publicKey);
  const passkey = await navigator.credentials.get({ publicKey: options });
  await post("sign-in", passkey.toJSON());
}

async function create(form) {
  const { publicKey } = await post("begin-creation", { name: new FormData(form).get("name") });
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(publicKey);
  const passkey = await navigator.credentials.create({ publicKey: options });
  await post("create", passkey.toJSON());
}

function says(error) {
  // The browser's own words for a closed window are for programmers.
  if (error.name === "NotAllowedError") return "The passkey was not used. Try again.";
  if (error.name === "InvalidStateError") return "This device has a passkey for that name already. Sign in with it.";
  return error.message;
}

/** Lets the form do `work` instead of a page load. After it, the person is signed in. */
function on(id, work) {
  const form = document.getElementById(id);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = document.querySelectorAll("button");
    problem.hidden = true;
    buttons.forEach((button) => (button.disabled = true));
    try {
      if (!globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) {
        throw new Error("This browser is too old for passkeys: use a newer one.");
      }
      await work(form);
      // The gateway has checked that this is a path of its own.
      location.replace(page.dataset.returnTo);
    } catch (error) {
      problem.textContent = says(error);
      problem.hidden = false;
      buttons.forEach((button) => (button.disabled = false));
    }
  });
}

on("sign-in", signIn);
on("create", create);
